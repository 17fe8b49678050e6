/** How every benchmark prints and stores what it measured. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, release } from 'node:os';
import { dirname } from 'node:path';

/** One figure, measured several times. */
export interface Measurement {
  /** What was measured, in words: `read, one device class`. */
  readonly name: string;
  /** `ns`, `µs`, `ms`, `s`, `per second`. */
  readonly unit: string;
  /** One value per round, in `unit`. */
  readonly samples: readonly number[];
}

export interface Report {
  /** The question that the file asks. */
  readonly title: string;
  readonly measurements: readonly Measurement[];
}

/** The value below which `share` (0 to 1) of the samples lie. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1));
  return sorted[index] ?? Number.NaN;
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

const round = (value: number): string =>
  value >= 1000 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(3);

/**
 * Prints a report (median, then the smallest and largest round), and with `--json FILE` on the command line stores it
 * with every sample.
 */
export function print(report: Report): void {
  const about = machine();
  console.log(report.title);
  console.log(`  ${Object.values(about).join(', ')}`);
  const width = Math.max(...report.measurements.map(({ name }) => name.length));
  for (const { name, unit, samples } of report.measurements) {
    const median = round(percentile(samples, 0.5));
    const spread = `${round(Math.min(...samples))} to ${round(Math.max(...samples))}`;
    console.log(
      `  ${name.padEnd(width)}  ${median.padStart(8)} ${unit}  (${spread}, ${samples.length} rounds)`,
    );
  }
  const file = option('--json');
  if (file === undefined) return;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(
    file,
    `${JSON.stringify({ ...report, machine: about, date: new Date().toISOString() }, null, 1)}\n`,
  );
}

/** The value that follows `name` on the command line. */
export function option(name: string): string | undefined {
  const index = process.argv.indexOf(name);
  return index < 0 ? undefined : process.argv[index + 1];
}

/** A stored report. */
export function load(file: string): Report {
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}
