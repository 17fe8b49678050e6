/** Sub-buckets per power of two: the width of a bucket is at most 1/16 of its value. */
const SUB_BITS = 4;
const SUB_COUNT = 2 ** SUB_BITS;
/** Values up to 2^40 ns, 18 minutes. */
const MAX_POWER = 40;
const BUCKETS = (MAX_POWER - SUB_BITS + 1) * SUB_COUNT + SUB_COUNT;

/** A number of durations, as they are shown. Times are in ns. */
export interface LatencySummary {
  readonly count: number;
  /** Sum of all. */
  readonly total: number;
  /** The longest. */
  readonly highest: number;
  /** The value that this share of them does not exceed. */
  percentile(share: number): number;
  /** Counts by power of two. */
  octaves(): readonly { readonly from: number; readonly to: number; readonly count: number }[];
}

/**
 * Counts durations in log-linear buckets: recording is two shifts and an increment, and every percentile is known to
 * within 1/16. Values below 16 ns are exact.
 *
 * | Bucket | Holds |
 * |---|---|
 * | 0 to 15 | the value itself |
 * | 16 p + s | from (16 + s) · 2^(p - 1), for p from 1 |
 */
export class LatencyHistogram implements LatencySummary {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sum = 0;
  #highest = 0;

  /** How many were recorded. */
  get count(): number {
    return this.#count;
  }

  /** Sum of all values in ns. */
  get total(): number {
    return this.#sum;
  }

  /** The longest, exactly. */
  get highest(): number {
    return this.#highest;
  }

  /** Records one duration in ns; negative ones count as 0. */
  record(ns: number): void {
    const value = ns > 0 ? Math.round(ns) : 0;
    const index = bucketOf(value);
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#count++;
    this.#sum += value;
    if (value > this.#highest) this.#highest = value;
  }

  /** The value in ns that this share of the recorded ones does not exceed: the top of its bucket. 0 when empty. */
  percentile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let index = 0; index < BUCKETS; index++) {
      seen += this.#counts[index] as number;
      if (seen >= rank) return Math.min(bucketStart(index + 1) - 1, this.#highest);
    }
    return 0;
  }

  /** Counts by power of two from the first to the last that has any, for drawing. */
  octaves(): readonly { readonly from: number; readonly to: number; readonly count: number }[] {
    const all = Array.from({ length: BUCKETS / SUB_COUNT }, (_, octave) => {
      const counts = this.#counts.subarray(octave * SUB_COUNT, (octave + 1) * SUB_COUNT);
      return {
        from: bucketStart(octave * SUB_COUNT),
        to: bucketStart((octave + 1) * SUB_COUNT),
        count: counts.reduce((sum, count) => sum + count, 0),
      };
    });
    const first = all.findIndex(({ count }) => count > 0);
    const last = all.findLastIndex(({ count }) => count > 0);
    return first < 0 ? [] : all.slice(first, last + 1);
  }
}

function bucketOf(value: number): number {
  if (value < SUB_COUNT) return value;
  const power = Math.min(Math.floor(Math.log2(value)), MAX_POWER);
  const sub = Math.min(Math.floor(value / 2 ** (power - SUB_BITS)) - SUB_COUNT, SUB_COUNT - 1);
  return (power - SUB_BITS + 1) * SUB_COUNT + sub;
}

function bucketStart(index: number): number {
  if (index < SUB_COUNT) return index;
  const octave = Math.floor(index / SUB_COUNT);
  return (SUB_COUNT + (index % SUB_COUNT)) * 2 ** (octave - 1);
}

/** A duration with three digits and its unit: `230 ns`, `12.4 µs`. */
export function formatDuration(ns: number): string {
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  const [value, unit] = ns < 1e6 ? [ns / 1e3, 'µs'] : ns < 1e9 ? [ns / 1e6, 'ms'] : [ns / 1e9, 's'];
  return `${value.toPrecision(value < 100 ? 3 : 4).replace(/\.?0+$/, (zeros) => (zeros.includes('.') ? '' : zeros))} ${unit}`;
}

const BAR_WIDTH = 40;

/** The histogram as text: bars by power of two, then percentiles and the rate. */
export function formatHistogram(histogram: LatencySummary): string {
  const octaves = histogram.octaves();
  const most = Math.max(...octaves.map(({ count }) => count));
  const bars = octaves.map(({ from, to, count }) => {
    const range = `${formatDuration(from).padStart(8)} to ${formatDuration(to).padStart(8)}`;
    const bar = '#'.repeat(count === 0 ? 0 : Math.max(1, Math.round((count / most) * BAR_WIDTH)));
    return `  ${range}  ${bar.padEnd(BAR_WIDTH)} ${count}`;
  });
  const at = (share: number): string => formatDuration(histogram.percentile(share));
  const rate = Math.round(histogram.count / (histogram.total / 1e9)).toLocaleString('en-US');
  return [
    ...bars,
    '',
    `  p50 ${at(0.5)}   p99 ${at(0.99)}   p99.9 ${at(0.999)}   max ${formatDuration(histogram.highest)}`,
    `  ${rate} accesses/s`,
  ].join('\n');
}
