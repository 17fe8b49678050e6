/** How every benchmark prints and stores what it measured. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, release } from 'node:os';
import { dirname } from 'node:path';
import { ProgressDisplay } from '../src/cli/progress.ts';

/** One figure, measured several times. */
export interface Measurement {
  /** What was measured, in words: `read, one device class`. */
  readonly name: string;
  /** `ns`, `µs`, `ms`, `s`, `per second`; `×` for a ratio of two figures of one round. */
  readonly unit: string;
  /** One value per round, in `unit`. */
  readonly samples: readonly number[];
  /** For a line in a chart: which one, and where. */
  readonly series?: string;
  readonly x?: number;
  /** How `x` is written: `4 KiB`. */
  readonly xLabel?: string;
}

export interface Report {
  /** The question that the file asks. */
  readonly title: string;
  readonly measurements: readonly Measurement[];
  /** What `x` of the measurements is: `block size`. */
  readonly x?: string;
  /** What else took part, with its version: `{ qemu: '11.1.3', compiler: 'gcc 12.2.0' }`. */
  readonly versions?: Readonly<Record<string, string>> | undefined;
  /** What was measured, where it is not this package's own: `{ first: '/tmp/a.sock: 1234:11e8' }`. */
  readonly subjects?: Readonly<Record<string, string>> | undefined;
}

/** A report as it is stored. */
export interface StoredReport extends Report {
  /** Processor, system and versions. */
  readonly machine: Readonly<Record<string, string>>;
  /** When it was measured, ISO 8601. */
  readonly date: string;
}

/** The value below which `share` (0 to 1) of the samples lie. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1));
  return sorted[index] ?? Number.NaN;
}

/** The middle one of the samples. */
export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5);
}

/** Rounds above which a few are always interrupted. */
const MANY = 30;

/** The smallest and the largest round; of more than 30 rounds the 5th and the 95th percentile. */
export function spread(samples: readonly number[]): readonly [low: number, high: number] {
  return samples.length > MANY
    ? [percentile(samples, 0.05), percentile(samples, 0.95)]
    : [Math.min(...samples), Math.max(...samples)];
}

/** Processor, system and versions that the figures belong to. */
export function machine(): Record<string, string> {
  return {
    processor: `${cpus()[0]?.model ?? 'unknown'} × ${cpus().length}`,
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    v8: process.versions.v8,
  };
}

/** A figure as it is printed: three digits that mean something. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return value >= 1000 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(3);
}

/**
 * Prints a report (median, then the {@link spread}), and with `--json FILE` on the command line stores it
 * with every sample.
 */
export function print(report: Report): void {
  const about = { ...machine(), ...report.versions };
  console.log(report.title);
  console.log(`  ${Object.values(about).join(', ')}`);
  for (const [name, what] of Object.entries(report.subjects ?? {})) {
    console.log(`  ${name}: ${what}`);
  }
  const width = Math.max(...report.measurements.map(({ name }) => name.length));
  for (const { name, unit, samples } of report.measurements) {
    const range = spread(samples).map(figure).join(' to ');
    console.log(
      `  ${name.padEnd(width)}  ${figure(median(samples)).padStart(8)} ${unit}  (${range}, ${samples.length === 1 ? '1 round' : `${samples.length} rounds`})`,
    );
  }
  const file = option('--json');
  if (file === undefined) return;
  const stored: StoredReport = { ...report, machine: about, date: new Date().toISOString() };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(stored, null, 1)}\n`);
}

/** The value that follows `name` on the command line, or comes behind its `=`. */
export function option(name: string): string | undefined {
  const joined = process.argv.find((word) => word.startsWith(`${name}=`));
  if (joined !== undefined) return joined.slice(name.length + 1);
  const index = process.argv.indexOf(name);
  return index < 0 ? undefined : process.argv[index + 1];
}

/** Is `name` on the command line? */
export function flag(name: string): boolean {
  return process.argv.includes(name);
}

/** A whole number of the command line, above 0. */
export function count(name: string, otherwise: number): number {
  const text = option(name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new RangeError(`Cannot use ${name} ${text}: it is a whole number above 0`);
}

/**
 * The ratios of two figures, round by round, so that both see the same machine.
 * @returns none where one of them was not measured
 */
export function ratio(
  name: string,
  numerator: readonly number[] | undefined,
  denominator: readonly number[] | undefined,
): Measurement[] {
  if (numerator === undefined || denominator === undefined) return [];
  const samples = numerator.flatMap((value, round) => {
    const other = denominator[round];
    return other === undefined ? [] : [value / other];
  });
  return samples.length === 0 ? [] : [{ name, unit: '×', samples }];
}

/** Samples by name, in the order in which the names first came. */
export class Samples {
  readonly #samples = new Map<string, number[]>();
  readonly #units = new Map<string, string>();

  add(name: string, unit: string, value: number): void {
    const samples = this.#samples.get(name);
    if (samples === undefined) this.#samples.set(name, [value]);
    else samples.push(value);
    this.#units.set(name, unit);
  }

  of(name: string): readonly number[] | undefined {
    return this.#samples.get(name);
  }

  get measurements(): Measurement[] {
    return [...this.#samples].map(([name, samples]) => ({
      name,
      unit: this.#units.get(name) ?? '',
      samples,
    }));
  }
}

/** How {@link eachRound} runs. */
export interface EachRoundOptions {
  /** Rounds before the first that counts; 1. */
  readonly warmUps?: number;
  /** Aborting ends it after the round under way. */
  readonly signal?: AbortSignal;
}

/**
 * Runs something as often as `rounds` says, and shows how far it is. The warm-ups before have `counts` false.
 */
export async function eachRound(
  what: string,
  rounds: number,
  once: (round: number, counts: boolean) => void | Promise<void>,
  { warmUps = 1, signal }: EachRoundOptions = {},
): Promise<void> {
  const display = new ProgressDisplay();
  try {
    for (let round = -warmUps; round < rounds; round++) {
      display.update({ step: what, done: round + warmUps, total: rounds + warmUps });
      await once(round, round >= 0);
      // Signals and workers get their turn.
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
    display.update({ step: what, done: rounds + warmUps, total: rounds + warmUps });
  } finally {
    display.finish();
  }
}

/** A stored report. */
export function load(file: string): StoredReport {
  return JSON.parse(readFileSync(file, 'utf8')) as StoredReport;
}
