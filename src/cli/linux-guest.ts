import type { GuestLatency } from '../engines/qemu/guest-agent.ts';
import { LinuxGuest, type LinuxGuestOptions } from '../engines/qemu/linux-guest.ts';
import { LinuxGuestAccess } from '../testing/linux-guest-access.ts';
import type { GuestSetup } from './guest-session.ts';
import type { LatencySummary } from './latency-histogram.ts';

/** A Linux guest under QEMU with the control agent in it. */
export async function prepareLinuxGuest(options: LinuxGuestOptions = {}): Promise<GuestSetup> {
  const linux = await LinuxGuest.prepare(options);
  return {
    document: linux.document,
    async open(_binding, _system, signal) {
      const agent = await linux.connectAgent(signal);
      const guest = new LinuxGuestAccess(agent);
      return {
        guest,
        measuredBy: "timed in the guest by the processor's counter",
        defaultAccesses: 20_000,
        async measure(fn, offset, count) {
          const { address } = fn.info;
          return summary(await agent.measureReads(address, 0, offset, 4, count));
        },
        async [Symbol.asyncDispose]() {
          await guest.close().catch(() => undefined);
          await agent[Symbol.asyncDispose]();
        },
      };
    },
    [Symbol.dispose]: () => linux[Symbol.dispose](),
  };
}

/** The figures that the agent gives; it knows three percentiles. */
function summary({ count, total, max, p50, p99, p999, octaves }: GuestLatency): LatencySummary {
  return {
    count,
    total,
    highest: max,
    percentile: (share) => (share <= 0.5 ? p50 : share <= 0.99 ? p99 : p999),
    octaves: () => {
      const first = octaves[0]?.power ?? 0;
      const last = octaves.at(-1)?.power ?? -1;
      return Array.from({ length: last - first + 1 }, (_, index) => ({
        from: 2 ** (first + index),
        to: 2 ** (first + index + 1),
        count: octaves.find(({ power }) => power === first + index)?.count ?? 0,
      }));
    },
  };
}
