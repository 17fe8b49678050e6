import { mmio, msi, PciDevice, ram, registerMap, u32 } from 'hdvkit';
import { PciFunction } from '../../src/pci/pci-function.ts';

/** The ten callbacks of HDV_PCI_DEVICE_INTERFACE, as {@link PciFunction} has them. */
export const CALLBACKS = [
  'initialize',
  'setConfiguration',
  'getDetails',
  'start',
  'readConfigSpace',
  'writeConfigSpace',
  'readInterceptedMemory',
  'writeInterceptedMemory',
  'stop',
  'teardown',
] as const;

/** One of {@link CALLBACKS}. */
export type Callback = (typeof CALLBACKS)[number];

/** What can go wrong in it. */
export const MANNERS = ['throws', 'loops', 'exits', 'fillsHeap'] as const;

/** One of {@link MANNERS}. */
export type Manner = (typeof MANNERS)[number];

/** Exit code of a device that ends its thread. */
export const EXIT_CODE = 37;

/** The URL of this module for a device that goes wrong in the given call, counted from 1. */
export function hostileModule(callback: Callback, manner: Manner, call: number): URL {
  const url = new URL('./hostile-device.ts', import.meta.url);
  url.search = new URLSearchParams({ callback, manner, call: String(call) }).toString();
  return url;
}

const registers = registerMap({ ID: u32(0x00, { access: 'ro', reset: 0x0bad_0bad }) });

/** A device that is well until its module's URL says otherwise. */
export class HostileDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xbad0, classCode: 0xff0000 };
  override readonly interrupts = msi(1);
  override readonly bars = {
    0: mmio(0x2000, { 0: registers.bind(), 4096: ram(Buffer.alloc(0x1000)) }),
  };
}

function go(wrong: Manner): never {
  switch (wrong) {
    case 'throws':
      throw new Error('thrown in a callback');
    case 'loops':
      for (;;);
    case 'exits':
      return process.exit(EXIT_CODE);
    case 'fillsHeap': {
      const hoard: unknown[] = [];
      for (;;) hoard.push(new Array(1000).fill(hoard.length));
    }
  }
}

/** Whatever the callback is, framework or device: it goes wrong before anything else happens in it. */
function spoil(callback: Callback, manner: Manner, call: number): void {
  const methods = PciFunction.prototype as unknown as Record<
    Callback,
    (...a: unknown[]) => unknown
  >;
  const original = methods[callback];
  let calls = 0;
  methods[callback] = function (this: PciFunction, ...args: unknown[]): unknown {
    if (++calls === call) go(manner);
    return original.apply(this, args);
  };
}

const { searchParams } = new URL(import.meta.url);
const callback = searchParams.get('callback');
if (callback !== null) {
  spoil(
    callback as Callback,
    searchParams.get('manner') as Manner,
    Number(searchParams.get('call')),
  );
}
