import { fuzz, SeededRandom, SimulatedVm } from 'hdvkit/testing';
import { describe, expect, test } from 'vitest';
import {
  AvailableFlag,
  CapabilityType,
  COMMON,
  DescriptorFlag,
  DeviceStatus,
  Feature,
  IsrStatus,
  Layout,
  NO_VECTOR,
} from '../../devices/virtio/registers.ts';
import { VirtioRng } from '../../devices/virtio-rng/index.ts';
import { MAX_REQUEST, QUEUE_SIZE } from '../../devices/virtio-rng/registers.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';
import { VirtioDriver } from './virtio-driver.ts';

const R = COMMON.offsets;
const Vector = { CONFIGURATION: 0, REQUEST: 1 } as const;
const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET } = DeviceStatus;
const READY = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

/** Bytes 1, 2, 3, … in place of random ones. */
function countingSource(): (into: Uint8Array) => void {
  let next = 0;
  return (into) => {
    for (let i = 0; i < into.length; i++) into[i] = next = (next + 1) & 0xff;
  };
}

const create = (): VirtioRng => new VirtioRng({ source: countingSource() });

function plug(vm = new SimulatedVm()) {
  const guest = vm.plug(create());
  const driver = new VirtioDriver(vm, guest);
  const page = vm.memory.allocate(2 * MAX_REQUEST);
  return { vm, guest, driver, page };
}

/** A device in use. */
function begun() {
  const plugged = plug();
  plugged.driver.begin();
  return plugged;
}

describe('discovery', () => {
  test('is a modern entropy device with four structures in BAR 0', () => {
    const { guest, driver } = plug();
    expect([guest.vendorId, guest.deviceId]).toEqual([0x1af4, 0x1044]);
    expect(guest.config.read8(0x08)).toBe(1);
    expect([...driver.structures.keys()].sort()).toEqual(Object.values(CapabilityType).sort());
    expect(driver.structures.get(CapabilityType.NOTIFY)).toMatchObject({ bar: 0, multiplier: 4 });
    expect(guest.interrupts.offered).toEqual({ mode: 'msix', count: 2 });
  });

  test('has one queue, no vectors and no features accepted after reset', () => {
    const { driver } = plug();
    expect(driver.read(R.NUM_QUEUES, 2)).toBe(1);
    expect(driver.read(R.QUEUE_SIZE, 2)).toBe(QUEUE_SIZE);
    expect(driver.read(R.MSIX_CONFIG, 2)).toBe(NO_VECTOR);
    expect(driver.read(R.QUEUE_MSIX_VECTOR, 2)).toBe(NO_VECTOR);
    for (const offset of [R.QUEUE_DESC_LOW, R.QUEUE_DRIVER_LOW, R.QUEUE_DEVICE_LOW]) {
      expect(driver.read(offset, 4)).toBe(0);
      expect(driver.read(offset + 4, 4)).toBe(0);
    }
    expect(driver.read(R.QUEUE_ENABLE, 2)).toBe(0);
    expect(driver.read(R.DRIVER_FEATURE, 4)).toBe(0);
    expect(driver.status).toBe(0);
  });

  test('offers version 1 and indirect descriptors, and nothing in later words', () => {
    const { driver } = plug();
    expect(driver.offered()).toBe(2 ** Feature.VERSION_1 + 2 ** Feature.INDIRECT_DESC);
    driver.write(R.DEVICE_FEATURE_SELECT, 4, 2);
    expect(driver.read(R.DEVICE_FEATURE, 4)).toBe(0);
  });

  test('shows a queue of size zero where there is none', () => {
    const { driver } = plug();
    driver.write(R.QUEUE_SELECT, 2, 1);
    expect(driver.read(R.QUEUE_SIZE, 2)).toBe(0);
    driver.write(R.QUEUE_SIZE, 2, 4);
    expect(driver.read(R.QUEUE_SIZE, 2)).toBe(0);
    driver.write(R.QUEUE_SELECT, 2, 0);
    expect(driver.read(R.QUEUE_SIZE, 2)).toBe(QUEUE_SIZE);
  });
});

describe('status', () => {
  test('goes through initialisation', () => {
    const { driver } = plug();
    driver.negotiate();
    expect(driver.status).toBe(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    driver.setUpQueue();
    driver.addStatus(DRIVER_OK);
    expect(driver.status).toBe(READY);
  });

  test.each([
    ['version 1 is missing', 0],
    ['a feature was not offered', 2 ** Feature.VERSION_1 + 1],
  ])('refuses FEATURES_OK when %s', (_, features) => {
    const { driver } = plug();
    driver.negotiate(features);
    expect(driver.status).toBe(ACKNOWLEDGE | DRIVER);
    driver.addStatus(DRIVER_OK);
    expect(driver.status).toBe(ACKNOWLEDGE | DRIVER);
  });

  test('keeps its features once they are settled', () => {
    const { guest, driver } = plug();
    driver.negotiate();
    driver.accept(0);
    expect(driver.read(R.DRIVER_FEATURE, 4)).toBe(1);
    expect(guest.guestErrors).toContain('features change after FEATURES_OK');
  });

  test('keeps bits that are cleared without a reset', () => {
    const { guest, driver } = begun();
    driver.write(R.DEVICE_STATUS, 1, ACKNOWLEDGE);
    expect(driver.status).toBe(READY);
    expect(guest.guestErrors).toHaveLength(1);
  });

  test('is as after power-on when zero is written', () => {
    const { driver } = begun();
    driver.write(R.DEVICE_STATUS, 1, 0);
    expect(driver.status).toBe(0);
    expect(driver.read(R.QUEUE_ENABLE, 2)).toBe(0);
    expect(driver.read(R.QUEUE_SIZE, 2)).toBe(QUEUE_SIZE);
    expect(driver.read(R.QUEUE_DESC_LOW, 4)).toBe(0);
    expect(driver.read(R.MSIX_CONFIG, 2)).toBe(NO_VECTOR);
    expect(driver.read(R.NUM_QUEUES, 2)).toBe(1);
  });
});

describe('requests', () => {
  test('are filled, and the vector of the queue raised once the answer stands', () => {
    const { vm, guest, driver, page } = begun();
    const head = driver.add({ gpa: page, length: 8 });
    expect(driver.usedIndex).toBe(0);
    driver.notify();
    expect(driver.usedIndex).toBe(1);
    expect(driver.answer(0)).toEqual({ head, written: 8 });
    expect([...vm.memory.read(page, 9)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0]);
    expect(guest.takeInterrupts()).toEqual([Vector.REQUEST]);
  });

  test('are filled with bytes that differ from request to request by default', () => {
    const vm = new SimulatedVm();
    const driver = new VirtioDriver(vm, vm.plug(new VirtioRng()));
    const page = vm.memory.allocate(4096);
    driver.begin();
    driver.add({ gpa: page, length: 64 });
    driver.add({ gpa: page + 64, length: 64 });
    driver.notify();
    expect(vm.memory.read(page, 64).equals(vm.memory.read(page + 64, 64))).toBe(false);
    expect(vm.memory.read(page, 64).equals(Buffer.alloc(64))).toBe(false);
  });

  test('are filled across a chain of buffers', () => {
    const { vm, driver, page } = begun();
    driver.add({ gpa: page, length: 2 }, { gpa: page + 16, length: 3 });
    driver.notify();
    expect([...vm.memory.read(page, 2)]).toEqual([1, 2]);
    expect([...vm.memory.read(page + 16, 3)]).toEqual([3, 4, 5]);
    expect(driver.answer(0).written).toBe(5);
  });

  test('are filled through an indirect table', () => {
    const { vm, driver, page } = begun();
    const table = vm.memory.allocate(4096);
    driver.describe(0, { gpa: page, length: 4 }, { flags: DescriptorFlag.NEXT, next: 1, table });
    driver.describe(1, { gpa: page + 32, length: 4 }, { table });
    const indirect = { gpa: table, length: 32, isWritable: false };
    driver.describe(0, indirect, { flags: DescriptorFlag.INDIRECT });
    driver.offer(0);
    driver.notify();
    expect(driver.answer(0).written).toBe(8);
    expect([...vm.memory.read(page + 32, 4)]).toEqual([5, 6, 7, 8]);
  });

  test('are filled in part when they ask for more than one gets', () => {
    const { vm, driver, page } = begun();
    driver.add({ gpa: page, length: MAX_REQUEST + 100 });
    driver.notify();
    expect(driver.answer(0).written).toBe(MAX_REQUEST);
    expect(vm.memory.read32(page + MAX_REQUEST)).toBe(0);
  });

  test('go round the ends of the rings and of the 16-bit index', () => {
    const { driver, page } = begun();
    const rounds = 2 ** 16 + 3;
    for (let i = 0; i < rounds; i++) {
      driver.add({ gpa: page, length: 1 });
      driver.notify();
    }
    expect(driver.usedIndex).toBe(3);
    expect(driver.status).toBe(READY);
  });

  test('that wait before DRIVER_OK are served by it', () => {
    const { driver, page } = plug();
    driver.negotiate();
    driver.setUpQueue();
    driver.add({ gpa: page, length: 1 });
    driver.notify();
    expect(driver.usedIndex).toBe(0);
    driver.addStatus(DRIVER_OK);
    expect(driver.usedIndex).toBe(1);
  });

  test('have no interrupt when the driver wants none', () => {
    const { guest, driver, page } = begun();
    driver.setAvailableFlags(AvailableFlag.NO_INTERRUPT);
    driver.add({ gpa: page, length: 1 });
    driver.notify();
    expect(driver.usedIndex).toBe(1);
    expect(guest.takeInterrupts()).toEqual([]);
  });

  test('have no interrupt without a vector, yet the ISR status says so once', () => {
    const { guest, driver, page } = plug();
    driver.negotiate();
    driver.setUpQueue();
    driver.write(R.QUEUE_MSIX_VECTOR, 2, 7);
    expect(driver.read(R.QUEUE_MSIX_VECTOR, 2)).toBe(NO_VECTOR);
    driver.addStatus(DRIVER_OK);
    driver.add({ gpa: page, length: 1 });
    driver.notify();
    expect(guest.takeInterrupts()).toEqual([]);
    expect(guest.bar(0).read8(Layout.ISR)).toBe(IsrStatus.QUEUE);
    expect(guest.bar(0).read8(Layout.ISR)).toBe(0);
  });

  test('keep their interrupt while the vector is masked', () => {
    const { guest, driver, page } = begun();
    guest.interrupts.setMask(Vector.REQUEST, true);
    driver.add({ gpa: page, length: 1 });
    driver.notify();
    expect(guest.takeInterrupts()).toEqual([]);
    guest.interrupts.setMask(Vector.REQUEST, false);
    expect(guest.takeInterrupts()).toEqual([Vector.REQUEST]);
  });

  test('may end with the memory', () => {
    const { vm, driver } = begun();
    driver.add({ gpa: vm.memory.end - 4, length: 4 });
    driver.notify();
    expect([...vm.memory.read(vm.memory.end - 4, 4)]).toEqual([1, 2, 3, 4]);
  });

  test('whose buffers may not be written get nothing and are given back', () => {
    const { vm, guest, driver, page } = begun();
    driver.add({ gpa: page, length: 4, isWritable: false });
    driver.notify();
    expect(driver.answer(0).written).toBe(0);
    expect(vm.memory.read32(page)).toBe(0);
    expect(guest.guestErrors).toHaveLength(1);
  });
});

describe('a driver that breaks the rules', () => {
  const hostile: [string, (plugged: ReturnType<typeof begun>) => void][] = [
    [
      'goes past the end of memory',
      ({ vm, driver }) => driver.add({ gpa: vm.memory.end - 2, length: 4 }),
    ],
    ['uses an address past 2^53', ({ driver }) => driver.add({ gpa: 2 ** 60, length: 4 })],
    ['offers a head outside the table', ({ driver }) => driver.offer(VirtioDriver.SIZE)],
    [
      'makes a loop',
      ({ driver, page }) => {
        driver.describe(0, { gpa: page, length: 1 }, { flags: DescriptorFlag.NEXT, next: 0 });
        driver.offer(0);
      },
    ],
    [
      'leaves the table',
      ({ driver, page }) => {
        driver.describe(0, { gpa: page, length: 1 }, { flags: DescriptorFlag.NEXT, next: 4000 });
        driver.offer(0);
      },
    ],
    [
      'offers more than the queue holds',
      ({ driver }) => {
        for (let i = 0; i <= VirtioDriver.SIZE; i++) driver.offer(0);
      },
    ],
    [
      'has an indirect table of no whole entries',
      ({ driver, page }) => {
        driver.describe(0, { gpa: page, length: 24 }, { flags: DescriptorFlag.INDIRECT });
        driver.offer(0);
      },
    ],
    [
      'has an indirect table longer than the queue',
      ({ driver, page }) => {
        driver.describe(0, { gpa: page, length: 16 * 9 }, { flags: DescriptorFlag.INDIRECT });
        driver.offer(0);
      },
    ],
    [
      'has an indirect table where nothing is',
      ({ vm, driver }) => {
        const indirect = { gpa: vm.memory.end, length: 16 };
        driver.describe(0, indirect, { flags: DescriptorFlag.INDIRECT });
        driver.offer(0);
      },
    ],
    [
      'nests indirect tables',
      ({ driver, page }) => {
        const flags = DescriptorFlag.INDIRECT;
        driver.describe(0, { gpa: page, length: 16 }, { flags, table: page });
        driver.describe(0, { gpa: page, length: 16 }, { flags });
        driver.offer(0);
      },
    ],
    [
      'chains an indirect table on',
      ({ driver, page }) => {
        const flags = DescriptorFlag.INDIRECT | DescriptorFlag.NEXT;
        driver.describe(0, { gpa: page, length: 16 }, { flags, next: 1 });
        driver.offer(0);
      },
    ],
  ];

  test.each(hostile)('and %s must reset the device', (_, misbehave) => {
    const plugged = begun();
    const { guest, driver, page } = plugged;
    misbehave(plugged);
    driver.notify();
    expect(driver.status & DEVICE_NEEDS_RESET).toBe(DEVICE_NEEDS_RESET);
    expect(guest.takeInterrupts()).toEqual([Vector.CONFIGURATION]);
    expect(guest.bar(0).read8(Layout.ISR) & IsrStatus.CONFIGURATION).toBe(IsrStatus.CONFIGURATION);
    expect(guest.guestErrors.length).toBeGreaterThan(0);
    driver.notify();
    expect(guest.takeInterrupts()).toEqual([]);

    const again = new VirtioDriver(plugged.vm, guest);
    again.begin();
    expect(again.status).toBe(READY);
    again.add({ gpa: page, length: 4 });
    again.notify();
    expect(again.usedIndex).toBe(1);
  });

  test.each([0, 3, 2 * QUEUE_SIZE, 0xffff])('and asks for a queue of %i keeps the size', (size) => {
    const { guest, driver } = plug();
    driver.negotiate();
    driver.write(R.QUEUE_SIZE, 2, size);
    expect(driver.read(R.QUEUE_SIZE, 2)).toBe(QUEUE_SIZE);
    expect(guest.guestErrors).toHaveLength(1);
  });

  test('and changes an enabled queue changes nothing', () => {
    const { guest, driver } = begun();
    driver.write(R.QUEUE_DESC_LOW, 4, 0x1234_5000);
    expect(driver.read(R.QUEUE_DESC_LOW, 4)).toBe(driver.table);
    expect(guest.guestErrors).toEqual(['an enabled queue is changed']);
  });

  test('and rings past the last queue is not heard', () => {
    const { driver, page } = begun();
    driver.add({ gpa: page, length: 1 });
    driver.notify(1);
    expect(driver.usedIndex).toBe(0);
  });

  test('and turns bus mastering off must reset the device', () => {
    const { guest, driver, page } = begun();
    driver.add({ gpa: page, length: 1 });
    guest.setBusMastering(false);
    driver.notify();
    expect(driver.status & DEVICE_NEEDS_RESET).toBe(DEVICE_NEEDS_RESET);
  });
});

test.each(['cold', 'function', 'disconnect'] as const)('is as new after a %s reset', (kind) => {
  const { guest, driver, page } = begun();
  driver.add({ gpa: page, length: 1 });
  guest.reset(kind);
  expect(driver.status).toBe(0);
  expect(driver.read(R.QUEUE_SIZE, 2)).toBe(QUEUE_SIZE);
  driver.notify();
  expect(driver.usedIndex).toBe(0);
});

test('goes on where a snapshot left its queue', () => {
  const { vm, guest, driver, page } = begun();
  driver.add({ gpa: page, length: 4 });
  driver.notify();
  driver.add({ gpa: page + 8, length: 4 });
  const again = vm.replug(guest, create());
  again.takeInterrupts();
  expect(again.bar(0).read8(R.DEVICE_STATUS)).toBe(READY);
  expect(again.bar(0).read16(R.QUEUE_SIZE)).toBe(VirtioDriver.SIZE);
  again.bar(0).write16(Layout.NOTIFY, 0);
  expect(driver.usedIndex).toBe(2);
  expect(again.takeInterrupts()).toEqual([Vector.REQUEST]);
});

test('survives rings with anything in them', { timeout: FUZZ_TIMEOUT }, () => {
  const random = new SeededRandom(12);
  const addresses = [0, 0x10_0000, 0x10_4000, 2 ** 32 - 8, 2 ** 52, 2 ** 53, 2 ** 63];
  const { vm, guest } = plug();
  for (let round = 0; round < FUZZ_ACCESSES / 20; round++) {
    const driver = new VirtioDriver(vm, guest);
    driver.begin();
    for (let index = 0; index < VirtioDriver.SIZE; index++) {
      const gpa = random.below(2) === 0 ? driver.table : random.pick(addresses);
      const length = random.pick([0, 1, 16, 32, 4096, 2 ** 32 - 1]);
      const next = random.below(VirtioDriver.SIZE + 1);
      driver.describe(index, { gpa, length, isWritable: false }, { flags: random.below(8), next });
    }
    for (let i = random.below(VirtioDriver.SIZE + 2); i > 0; i--) {
      driver.offer(random.below(VirtioDriver.SIZE + 1));
    }
    driver.notify();
    expect(driver.usedIndex).toBeLessThanOrEqual(VirtioDriver.SIZE);
    driver.release();
  }
});

test('refuses the state of a version that it does not know, naming both', () => {
  expect(() => create().restore({ version: 2 })).toThrow(
    new TypeError('Cannot restore VirtioRng: its state has version 2, this code knows 1'),
  );
});

test('survives a hostile guest', { timeout: FUZZ_TIMEOUT }, () => {
  fuzz(create, { seed: 8, accesses: FUZZ_ACCESSES });
});
