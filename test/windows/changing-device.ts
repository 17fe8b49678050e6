import { mmio, PciDevice, registerMap, u32 } from 'hdvkit';

/** Variable of the environment that says what {@link ChangingDevice} is when it is loaded: one of {@link FACES}. */
export const FACE = 'HDVKIT_TEST_FACE';

/** What a file may have become between two loads. */
export const FACES = ['same', 'another device', 'larger', 'broken'] as const;

const face = process.env[FACE] ?? 'same';

export const CHANGING = registerMap({ WORD: u32(0) });

/** A device whose file was changed meanwhile, as far as a test can have that. */
export class ChangingDevice extends PciDevice {
  override readonly identity = {
    vendorId: 0x1af5,
    deviceId: face === 'another device' ? 0x7004 : 0x7003,
    classCode: 0xff0000,
  };
  readonly regs = CHANGING.bind();
  override readonly bars = { 0: mmio(face === 'larger' ? 0x2000 : 0x1000, { 0: this.regs }) };

  constructor() {
    super();
    if (face === 'broken') throw new Error('half edited');
  }
}
