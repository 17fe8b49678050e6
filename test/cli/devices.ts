/** Texts of device files, right and wrong, for the tests of the command line. */

const HEAD = `import { mmio, msi, PciDevice, registerMap, u32 } from 'hdvkit';\n`;
const IDENTITY = '{ vendorId: 0x1234, deviceId: 0x0c11, classCode: 0xff0000 }';

/** A device with one register and one field. */
export const GOOD = `${HEAD}
const MAP = registerMap({ VALUE: u32(0x0, { fields: { LOW: { lsb: 0, count: 4 } } }), OTHER: u32(0x8) });
export class Good extends PciDevice {
  override readonly identity = ${IDENTITY};
  override readonly interrupts = msi(1);
  readonly regs = MAP.bind({});
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
}
`;

/** The same, changed in what reads of VALUE give. */
export const CHANGED = GOOD.replace('bind({})', 'bind({ VALUE: { read: () => 0x2a } })');

/** The same, changed in what the guest knows of it. */
export const OTHER_SHAPE = GOOD.replace('mmio(0x1000', 'mmio(0x2000');

/** Its driver waits for ever when it writes VALUE; it says so first. */
export const ENDLESS = GOOD.replace(
  'bind({})',
  "bind({ VALUE: { write: () => { console.error('no return'); for (;;) {} } } })",
);

export const NO_DEVICE = 'export const answer = 42;\n';

export const TWO_DEVICES = `${GOOD}export class Second extends Good {}\n`;

export const THROWS = `${HEAD}
export class Throws extends PciDevice {
  override readonly identity = ${IDENTITY};
  constructor() {
    super();
    throw new Error('no luck today');
  }
}
`;

/** Whoever builds it never hears of it again. */
export const ENDLESS_CONSTRUCTOR = THROWS.replace(
  "throw new Error('no luck today')",
  'for (;;) {}',
);

/** It stops the thread that loads it, as no exception or signal handler can end it. */
export const ENDLESS_MODULE = `${GOOD}Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);\n`;

/** It never gets to its end, and keeps the process. */
export const PENDING_MODULE = `${GOOD}setInterval(() => {}, 1000);\nawait new Promise(() => {});\n`;

export const OVERLAPS = `${HEAD}
const MAP = registerMap({ FIRST: u32(0x4), SECOND: u32(0x4) });
export class Overlaps extends PciDevice {
  override readonly identity = ${IDENTITY};
  override readonly bars = { 0: mmio(0x1000, { 0: MAP.bind({}) }) };
}
`;

/** Its BARs do not fit: found only when a function is made of it. */
export const WRONG_SLOT = `${HEAD}
import { mmio64 } from 'hdvkit';
const MAP = registerMap({ VALUE: u32(0x0) });
export class WrongSlot extends PciDevice {
  override readonly identity = ${IDENTITY};
  override readonly bars = { 0: mmio64(0x1000, {}), 1: mmio(0x1000, { 0: MAP.bind({}) }) };
}
`;

export const SYNTAX_ERROR = 'export class {\n';

export const TAKES_CONFIGURATION = GOOD.replace(
  'readonly regs',
  `override configure(strings: readonly string[]): void {
    for (const text of strings) {
      if (!text.startsWith('value=')) throw new RangeError(\`Cannot configure Good with "\${text}": it knows value=NUMBER\`);
      this.regs.VALUE = Number(text.slice(6));
    }
  }
  readonly regs`,
);
