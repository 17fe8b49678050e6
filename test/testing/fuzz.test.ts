import { gpa, mmio, mmio64, msix, PciDevice, ram, registerMap, u32 } from 'hdvkit';
import { FuzzFailure, fuzz, SeededRandom, SimulatedVm } from 'hdvkit/testing';
import { describe, expect, test } from 'vitest';
import { nextOperation, print } from '../../src/testing/fuzz-operations.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';
import { MsiProbe, MsixProbe } from '../host/conformance-devices.ts';

const MAP = registerMap({
  LOCK: u32(0x00),
  SIZE: u32(0x04),
  TARGET: gpa(0x08),
  GO: u32(0x10, { access: 'wo' }),
});

/** Fails when it is unlocked, told a size of 2^16 or more, and told to go. */
class ThreeSteps extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 3, classCode: 0xff0000 };
  readonly regs = MAP.bind({
    GO: {
      write: () => {
        if (this.regs.LOCK === 0 || this.regs.SIZE < 0x1_0000) return;
        throw new RangeError('too large to handle');
      },
    },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
}

/** Fails some time after it was told to go. */
class Later extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 4, classCode: 0xff0000 };
  readonly regs = MAP.bind({
    GO: {
      write: () => {
        this.clock.after(5, () => {
          throw new Error('too late');
        });
      },
    },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
}

/** Forgets to save a field that it needs after restore. */
class Forgetful extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 5, classCode: 0xff0000 };
  #queue: number[] | undefined = [];
  readonly regs = MAP.bind({ GO: { write: (value) => this.#entries().push(value) } });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };

  override restore(): void {
    this.#queue = undefined;
  }

  #entries(): number[] {
    if (this.#queue === undefined) throw new TypeError('there is no queue');
    return this.#queue;
  }
}

/** Has everything, and minds nothing. */
class Sturdy extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 6, classCode: 0xff0000 };
  override readonly interrupts = msix(3);
  readonly regs = MAP.bind({
    GO: {
      write: (value) => {
        const bytes = Buffer.alloc(Math.min(this.regs.SIZE, 4096));
        if (!this.memory.read(this.regs.TARGET, bytes)) this.guestError('no memory there');
        this.interrupts.raise(value % 3);
      },
    },
  });
  override readonly bars = { 0: mmio(0x2000, { 0: this.regs, 4096: ram(4096) }) };
}

function failureOf(run: () => unknown): FuzzFailure {
  try {
    run();
  } catch (error) {
    if (error instanceof FuzzFailure) return error;
    throw error;
  }
  throw new Error('The fuzzer found nothing');
}

/** Runs the text of a test as it would be pasted. */
function paste(failure: FuzzFailure, Device: new () => PciDevice): void {
  const bodies: (() => void)[] = [];
  const define = new Function('test', 'SimulatedVm', Device.name, failure.test);
  define((_title: string, body: () => void) => bodies.push(body), SimulatedVm, Device);
  expect(bodies).toHaveLength(1);
  bodies[0]?.();
}

describe('a device that fails', () => {
  test('is found out, in the fewest steps and with the simplest values', () => {
    const failure = failureOf(() => fuzz(() => new ThreeSteps(), { seed: 1, accesses: 20_000 }));
    expect(failure.operations).toHaveLength(3);
    expect(failure.operations.every(({ do: what }) => what === 'writeBar')).toBe(true);
    expect(failure.message).toContain('ThreeSteps failed within');
    expect(failure.message).toContain('of seed 1');
    expect(failure.message).toContain('too large to handle');
    expect(failure.test).toContain('new ThreeSteps()');
  });

  test('comes with a test that fails in the same way when pasted', () => {
    for (const Device of [ThreeSteps, Later, Forgetful]) {
      const failure = failureOf(() => fuzz(() => new Device(), { seed: 2, accesses: 50_000 }));
      expect(() => paste(failure, Device)).toThrow(
        expect.objectContaining({ message: (failure.cause as Error).message }),
      );
      expect(failure.test.split('\n').length).toBeLessThan(14);
    }
  });

  test('fails alike with the same seed', () => {
    const run = (): FuzzFailure =>
      failureOf(() => fuzz(() => new ThreeSteps(), { seed: 7, accesses: 20_000 }));
    expect(run().message).toBe(run().message);
  });

  test('is found out when a state that was saved does not carry it', () => {
    const failure = failureOf(() => fuzz(() => new Forgetful(), { seed: 3, accesses: 50_000 }));
    expect(failure.operations.map(({ do: what }) => what)).toEqual([
      expect.stringMatching(/^re(store|plug)$/),
      'writeBar',
    ]);
  });
});

test('a failure that does not come again is said to depend on more than the guest', () => {
  let created = 0;
  class Moody extends ThreeSteps {
    override start(): void {
      if (created++ === 2) this.clock.after(0, () => this.memory.read(0, undefined as never));
    }
  }
  const failure = failureOf(() => fuzz(() => new Moody(), { seed: 4, accesses: 5_000 }));
  expect(failure.message).toContain('It did not fail when this was repeated');
});

test('offsets stay inside BARs of 4 GiB and more', () => {
  class Large extends PciDevice {
    override readonly identity = { vendorId: 0x1234, deviceId: 7, classCode: 0xff0000 };
    override readonly bars = { 0: mmio64(2 ** 33, { 0: ram(16) }) };
  }
  const target = {
    bars: [{ slot: 0, size: 2 ** 33 }],
    vectors: 0,
    memory: { gpa: 0, length: 4096 },
    memoryEnd: 4096,
  };
  const random = new SeededRandom(1);
  for (let i = 0; i < 5_000; i++) {
    const operation = nextOperation(random, target);
    if ('bar' in operation) expect(operation.offset).toBeGreaterThanOrEqual(0);
  }
  expect(fuzz(() => new Large(), { seed: 1, accesses: 500 }).accesses).toBe(500);
});

test('every operation prints as a line that can be run as it was, configuration included', () => {
  expect(print({ do: 'mask', vector: 1, masked: true }, '')).toMatch(/^if \(guest.*canMask\(1\)/);
  class Fussy extends Forgetful {
    override configure(strings: readonly string[]): void {
      if (strings.length === 0) throw new RangeError('Cannot do without configuration');
    }
  }
  const options = { accesses: 50_000, configuration: ['word=1'] };
  for (let seed = 1; seed < 20; seed++) {
    const failure = failureOf(() => fuzz(() => new Fussy(), { seed, ...options }));
    if (!failure.operations.some((operation) => operation.do === 'replug')) continue;
    expect(failure.test).toContain('vm.replug(guest, new Fussy(), {"configuration":["word=1"]})');
    expect(() => paste(failure, Fussy)).toThrow('there is no queue');
    return;
  }
  throw new Error('No seed replugged');
});

describe('a device that does not fail', () => {
  test.each([Sturdy, MsixProbe, MsiProbe])(
    '%o goes through every access',
    { timeout: FUZZ_TIMEOUT },
    (Device) => {
      const report = fuzz(() => new Device(), { seed: 11, accesses: FUZZ_ACCESSES });
      expect(report.accesses).toBe(FUZZ_ACCESSES);
    },
  );

  test('has its complaints about the guest counted', () => {
    const report = fuzz(() => new Sturdy(), { seed: 12, accesses: 5000 });
    expect(report.guestErrors).toBeGreaterThan(0);
    expect(fuzz(() => new Sturdy(), { seed: 12, accesses: 5000 })).toEqual(report);
  });
});
