import { type Measurement, median, type StoredReport } from '../report.ts';

/** A figure that this project has promised itself. */
export interface Target {
  readonly question: string;
  /** The benchmark that answers it. */
  readonly bench: string;
  /** Names of its measurements; the worst of them counts. */
  readonly measurements: RegExp;
  readonly limit: number;
  /** Whether the figure is to be at most (`below`) or at least (`above`) the limit. */
  readonly side: 'below' | 'above';
  /** What has to be done for a figure, where `npm run bench` cannot. */
  readonly remark?: string;
}

/** How a target stands. */
export interface Outcome {
  readonly target: Target;
  /** The worst measurement; undefined: none was made. */
  readonly measurement: Measurement | undefined;
  /** Its median, to two places; undefined with it. */
  readonly value: number | undefined;
  readonly met: boolean | undefined;
}

/** Ratios are medians of rounds in which both were measured. */
export const TARGETS: readonly Target[] = [
  {
    question: 'Slot round trip, both sides awake, against two polling threads in C',
    bench: 'slot',
    measurements: /^awake: slot, adaptive, to C, polling$/,
    limit: 1.5,
    side: 'below',
  },
  {
    question: 'Idle to answered, the device asleep, against two threads in C on a futex',
    bench: 'slot',
    measurements: /^asleep: slot, adaptive, to C, both sleep in a futex$/,
    limit: 1.5,
    side: 'below',
  },
  {
    question: 'vfio-user read of 4 bytes by a plain client, against the smallest server in C',
    bench: 'vfio-user',
    measurements: /^read, p50: hdvkit to C$/,
    limit: 1.15,
    side: 'below',
  },
  {
    question: 'vfio-user read of 4 bytes by a plain client, against the C server of libvfio-user',
    bench: 'vfio-user-libvfio-user',
    measurements: /^read, p50: .* to /,
    limit: 0.9,
    side: 'below',
    remark:
      'needs a server made with libvfio-user: hdvkit bench vfio-user --versus SOCKET --json bench/results/vfio-user-libvfio-user.json',
  },
  {
    question: 'The same read in a Linux guest, against the smallest server in C',
    bench: 'guest',
    measurements: /^read, p50: hdvkit to C$/,
    limit: 1,
    side: 'below',
  },
  {
    question: 'Posted register write in a Linux guest, against a device inside QEMU',
    bench: 'guest',
    measurements: /^posted write: hdvkit to QEMU$/,
    limit: 1.5,
    side: 'below',
  },
  {
    question: 'Access to a mapped BAR page in a Linux guest, against a BAR of RAM inside QEMU',
    bench: 'guest',
    measurements: /^mapped page read: hdvkit to QEMU$/,
    limit: 1,
    side: 'below',
  },
  {
    question:
      'DMA of 4 KiB to 1 MiB through an aperture, memory of a vfio-user client, against memcpy',
    bench: 'dma',
    measurements: /^aperture, vfio-user.* to memcpy, (?:(?:4|16|64|256) KiB|1 MiB)$/,
    limit: 0.95,
    side: 'above',
  },
  {
    question:
      'DMA of 4 KiB to 1 MiB through an aperture, memory of the simulated machine, against memcpy',
    bench: 'dma',
    measurements: /^aperture, simulated.* to memcpy, (?:(?:4|16|64|256) KiB|1 MiB)$/,
    limit: 0.95,
    side: 'above',
  },
  {
    question: '64 idle devices: processor time',
    bench: 'idle',
    measurements: /: processor time$/,
    limit: 1,
    side: 'below',
  },
  {
    question: 'Memory of a further device on a worker that others share',
    bench: 'attach',
    measurements: /^one worker for all: memory of a further device$/,
    limit: 8,
    side: 'below',
  },
  {
    question: 'Memory of a further device with its own worker',
    bench: 'attach',
    measurements: /^a worker each(?:, compiled)?: memory of a further device$/,
    limit: 40,
    side: 'below',
  },
  {
    question: 'A machine of the Linux host, made anew or as a clone, until it runs, in ms',
    bench: 'machines',
    measurements: /^(?:created|clone of a template) → running$/,
    limit: 150,
    side: 'below',
  },
  {
    question: 'A machine of 256 MiB, saved to a file, in ms',
    bench: 'machines',
    measurements: /^saved, 256 MiB$/,
    limit: 1500,
    side: 'below',
  },
  {
    question: 'A machine of 256 MiB, from its file until it runs, in ms',
    bench: 'machines',
    measurements: /^saved file, 256 MiB → running$/,
    limit: 300,
    side: 'below',
  },
  {
    question: '16 machines of an owner that was killed, until they are taken over, in ms',
    bench: 'adopt',
    measurements: /^16 machines taken over$/,
    limit: 1000,
    side: 'below',
  },
  {
    question: 'Basic properties over the socket of the daemon, 8 clients, per second',
    bench: 'daemon',
    measurements: /^basic properties, 8 clients/,
    limit: 20_000,
    side: 'above',
  },
  {
    question: 'One event to 1,000 clients of the daemon, in ms',
    bench: 'daemon',
    measurements: /^one event to 1000 clients$/,
    limit: 100,
    side: 'below',
  },
  {
    question: 'Growth of the daemon after 10,000 systems, in MiB',
    bench: 'daemon',
    measurements: /^growth of the daemon after 10000 systems$/,
    limit: 5,
    side: 'below',
  },
  {
    question: 'hcs list from the shell, with a daemon that runs, in ms',
    bench: 'list',
    measurements: /^hcs list, \d+ systems$/,
    limit: 150,
    side: 'below',
  },
];

/** Compares each target with what was measured. */
export function judge(
  reports: ReadonlyMap<string, StoredReport>,
  targets: readonly Target[] = TARGETS,
): Outcome[] {
  return targets.map((target) => {
    const candidates = (reports.get(target.bench)?.measurements ?? []).filter(
      ({ name, samples }) => target.measurements.test(name) && samples.length > 0,
    );
    const worst = candidates.sort((a, b) =>
      target.side === 'below'
        ? median(b.samples) - median(a.samples)
        : median(a.samples) - median(b.samples),
    )[0];
    if (worst === undefined) {
      return { target, measurement: undefined, value: undefined, met: undefined };
    }
    const value = Math.round(median(worst.samples) * 100) / 100;
    const met = target.side === 'below' ? value <= target.limit : value >= target.limit;
    return { target, measurement: worst, value, met };
  });
}
