import type { Colors } from '../terminal.ts';
import { chartLines } from './chart.ts';
import { tableLines } from './columns.ts';
import type { Sample } from './samples.ts';
import { shownId } from './shown-id.ts';
import { stateColor } from './state-color.ts';

/** Samples that are remembered for each system: a wide terminal has so many places. */
const KEPT = 512;

const SPARK_WIDTH = 16;
const CHART_HEIGHT = 5;

/** The lines of `hcs stats`, which are drawn over those before them on a terminal. */
export class StatsView {
  readonly #isLive: boolean;
  readonly #history = new Map<string, number[]>();
  #drawn = 0;

  constructor(isLive: boolean) {
    this.#isLive = isLive;
  }

  /** The lines to print now. */
  lines(samples: readonly Sample[], c: Colors): readonly string[] {
    this.#remember(samples);
    if (!this.#isLive) return tableLines(COLUMNS, samples, undefined, c);
    const { columns = 80, rows = 24 } = process.stdout;
    const spark = {
      title: 'CPU, NEWEST RIGHT',
      text: ({ id }: Sample) => this.#chart(id, SPARK_WIDTH, 1)[0] ?? '',
      color: (text: string) => c.cyan(text),
    };
    const room = Math.max(1, rows - 3);
    const shown = samples.slice(0, room);
    const table = tableLines([...COLUMNS, spark], shown, columns, c);
    const [only] = samples;
    const below =
      samples.length === 1 && only !== undefined && rows > CHART_HEIGHT + 4
        ? this.#chart(only.id, Math.max(8, columns - 1), CHART_HEIGHT).map((line) => c.cyan(line))
        : samples.length > room
          ? [c.dim(`… and ${samples.length - room} more`)]
          : [];
    return this.#over([...table, ...below]);
  }

  /** The same lines, so that they take the place of the last ones. */
  #over(lines: readonly string[]): readonly string[] {
    const up = this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A`;
    this.#drawn = lines.length;
    // What is left of more lines than these is cleared from here on.
    return lines.map((line, at) => `${at === 0 ? `${up}\r\u001b[J` : ''}${line}`);
  }

  #remember(samples: readonly Sample[]): void {
    const alive = new Set(samples.map(({ id }) => id));
    for (const id of this.#history.keys()) if (!alive.has(id)) this.#history.delete(id);
    for (const { id, cpuPercent = 0 } of samples) {
      const values = this.#history.get(id) ?? [];
      this.#history.set(id, [...values, cpuPercent].slice(-KEPT));
    }
  }

  #chart(id: string, width: number, height: number): readonly string[] {
    const values = this.#history.get(id) ?? [];
    return chartLines(values, Math.max(100, ...values), width, height);
  }
}

const COLUMNS = [
  { title: 'ID', text: ({ id }: Sample) => shownId(id), isId: true },
  {
    title: 'STATE',
    text: ({ state }: Sample) => state ?? '',
    color: (text: string, { state }: Sample, c: Colors) =>
      stateColor(text, state === undefined ? {} : { State: state }, c),
  },
  {
    title: 'CPU',
    right: true,
    text: ({ cpuPercent }: Sample) =>
      cpuPercent === undefined ? '-' : `${cpuPercent.toFixed(1)} %`,
  },
  { title: 'MEMORY', right: true, text: ({ memoryBytes }: Sample) => size(memoryBytes) },
  { title: 'READ/s', right: true, text: ({ readRate }: Sample) => size(readRate) },
  { title: 'WRITE/s', right: true, text: ({ writeRate }: Sample) => size(writeRate) },
] as const;

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** A number of bytes for people: three digits and a unit. */
export function size(bytes: number | undefined): string {
  if (bytes === undefined) return '-';
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}
