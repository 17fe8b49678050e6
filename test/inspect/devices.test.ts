import { describe, expect, test } from 'vitest';
import { GpioIdio16 } from '../../devices/gpio-idio-16/index.ts';
import { Serial16550 } from '../../devices/serial-16550/index.ts';
import { VirtioRng } from '../../devices/virtio-rng/index.ts';
import { EduDevice } from '../../sample-devices/edu.ts';
import { FirstDevice } from '../../sample-devices/first-device.ts';
import { MailboxDevice } from '../../sample-devices/mailbox.ts';
import {
  extendedVendorSpecific,
  mmio,
  mmio64,
  msi,
  msix,
  PciDevice,
  pciExpress,
  powerManagement,
  ram,
  serialNumber,
  vendorSpecific,
} from '../../src/index.ts';
import { decodeConfigSpace } from '../../src/inspect/config-space.ts';
import { type Guest, plug } from '../../src/testing.ts';
import { comparable } from './comparable.ts';
import { canCompare, lspci, parseLspci } from './lspci.ts';

/** A function with every capability there is, and BARs of both widths. */
class Everything extends PciDevice {
  override readonly identity = {
    vendorId: 0x8086,
    deviceId: 0x5845,
    classCode: 0x010802,
    revision: 0xa5,
    subsystemVendorId: 0x1234,
    subsystemId: 0x5678,
  };
  override readonly interrupts = msix(2048);
  override readonly bars = {
    0: mmio64(2 ** 20, { 0: ram(4096) }, { prefetchable: true }),
    2: mmio(0x4000, { 0: ram(16) }),
  };
  override readonly capabilities = [
    powerManagement(),
    pciExpress({ functionLevelReset: true }),
    vendorSpecific(Uint8Array.of(1, 2, 3, 4, 5)),
    serialNumber(0xaabb_ccff_fedd_eeffn),
    extendedVendorSpecific(0xabcd, 3, Uint8Array.of(9, 8, 7, 6)),
  ];
}

/** Message-signalled interrupts with masking, 64-bit, as many as there can be. */
class ManyMessages extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x0032, classCode: 0x0b4000 };
  override readonly interrupts = msi(32);
}

/** The whole config space, as lspci reads it. */
function bytesOf(guest: Guest): Buffer {
  const bytes = Buffer.alloc(4096);
  for (let offset = 0; offset < bytes.length; offset += 4) {
    bytes.writeUInt32LE(guest.config.read(offset, 4), offset);
  }
  return bytes;
}

const devices: Record<string, () => PciDevice> = {
  first: () => new FirstDevice(),
  edu: () => new EduDevice(),
  mailbox: () => new MailboxDevice(),
  'virtio-rng': () => new VirtioRng(),
  'serial-16550': () => new Serial16550(),
  'gpio-idio-16': () => new GpioIdio16(),
  everything: () => new Everything(),
  'many messages': () => new ManyMessages(),
};

describe.runIf(canCompare).each(Object.entries(devices))(
  'the config space of %s',
  (_name, make) => {
    test('reads as pciutils reads it, before a driver has touched it', () => {
      const bytes = bytesOf(plug(make(), { interrupts: 'off' }));
      const decoded = decodeConfigSpace(bytes);
      expect(decoded.faults).toEqual([]);
      expect(comparable(decoded)).toEqual(parseLspci(lspci(bytes)));
    });

    test('reads as pciutils reads it, with BARs placed and interrupts on', () => {
      const bytes = bytesOf(plug(make()));
      expect(comparable(decodeConfigSpace(bytes))).toEqual(parseLspci(lspci(bytes)));
    });
  },
);
