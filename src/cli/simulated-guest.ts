import type { SimulatedHost } from '../hosts/simulated/host.ts';
import { SimulatedGuestAccess } from '../testing/simulated-guest-access.ts';
import type { AnsweringGuestSetup } from './guest-session.ts';
import { LatencyHistogram } from './latency-histogram.ts';

/** The guest of a simulated machine: a program on this thread. */
export function prepareSimulatedGuest(): AnsweringGuestSetup {
  return {
    document: {
      SchemaVersion: { Major: 2, Minor: 1 },
      Owner: 'hdvkit',
      VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 64 }, Processor: { Count: 1 } } },
    },
    async open(binding, system) {
      const machine = (binding as SimulatedHost).machineOf(system.id);
      if (machine === undefined) throw new Error(`Cannot find the machine of ${system.id}`);
      const guest = new SimulatedGuestAccess(machine);
      return {
        guest,
        measuredBy: 'timed by the guest program',
        defaultAccesses: 1_000_000,
        async measure(fn, offset, count) {
          const { gpa = 0 } = fn.info.bars.find(({ slot }) => slot === 0) ?? {};
          return measure(() => machine.read(gpa + offset, 4), count);
        },
        [Symbol.asyncDispose]: () => guest.close(),
      };
    },
    [Symbol.dispose]() {},
  };
}

/** Times each read by itself, less what reading the clock takes. */
function measure(read: () => number, count: number): LatencyHistogram {
  const histogram = new LatencyHistogram();
  const overhead = clockOverhead();
  for (let i = 0; i < count; i++) {
    const start = process.hrtime.bigint();
    read();
    histogram.record(Number(process.hrtime.bigint() - start) - overhead);
  }
  return histogram;
}

function clockOverhead(): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10_000; i++) {
    const start = process.hrtime.bigint();
    least = Math.min(least, Number(process.hrtime.bigint() - start));
  }
  return least;
}
