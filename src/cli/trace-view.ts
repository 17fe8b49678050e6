import { BarNames } from '../inspect/bar-names.ts';
import { decodeConfigSpace } from '../inspect/config-space.ts';
import { Coverage } from '../inspect/coverage.ts';
import { TraceKind, type TraceReader, type TraceRecord, TraceRing } from '../inspect/trace-ring.ts';
import { formatTraceRecord, type TraceNames } from '../inspect/trace-text.ts';
import { readConfigSpace } from './config-bytes.ts';
import type { DeviceFile } from './device-file.ts';
import { colors, remark } from './terminal.ts';

/** How often what was recorded is printed. */
const INTERVAL_MS = 50;
const CAPACITY = 2 ** 16;

/** How a {@link TraceView} prints. */
export interface TraceViewOptions {
  /** Stands before each line; default the time. */
  readonly prefix?: string;
  /** Leaves records out of what is printed. */
  readonly filter?: (record: TraceRecord) => boolean;
  /** Where lines go; default: standard output. */
  readonly write?: (line: string) => void;
}

/**
 * Prints what a device records, from wherever it runs, while it runs; and, at the end, what the driver touched that
 * the device does not model.
 */
export class TraceView {
  readonly ring: TraceRing = TraceRing.create(CAPACITY);
  /** When the first access of a BAR was recorded, in ms since the epoch. */
  firstAccess: number | undefined;
  readonly #options: TraceViewOptions;
  readonly #write: (line: string) => void;
  readonly #reader: TraceReader = this.ring.reader();
  readonly #names: TraceNames;
  readonly #coverage: Coverage;
  readonly #start = performance.timeOrigin + performance.now();
  #lost = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ device, function: fn }: DeviceFile, options: TraceViewOptions = {}) {
    const space = decodeConfigSpace(readConfigSpace(fn));
    this.#options = options;
    this.#write = options.write ?? ((line) => process.stdout.write(`${line}\n`));
    this.#names = {
      bars: new BarNames(device.bars, fn.shape.interrupts),
      capabilities: [...space.capabilities, ...space.extendedCapabilities],
    };
    this.#coverage = new Coverage(this.#names.bars);
  }

  /** Prints from now on, until {@link end}. Does not keep the process alive. */
  follow(): void {
    this.#timer ??= setInterval(() => this.flush(), INTERVAL_MS).unref();
  }

  /** Prints what has been recorded since the last time. */
  flush(): void {
    this.#drain((record) => {
      if (this.#options.filter?.(record) === false) return;
      const { prefix = this.#time(record) } = this.#options;
      this.#write(`${prefix}${formatTraceRecord(record, this.#names)}`);
    });
    const lost = this.#reader.lost - this.#lost;
    this.#lost = this.#reader.lost;
    if (lost > 0) remark(`${lost} records came faster than they could be printed`);
  }

  /** Takes what has been recorded since the last time without printing it. @returns how many records it was */
  skip(): number {
    let count = 0;
    this.#drain(() => count++);
    return count;
  }

  /** Prints the rest, and the list of what is not modelled. Safe to call twice. */
  end(): void {
    clearInterval(this.#timer);
    this.flush();
    this.#write(`\n${this.#coverage.format()}`);
  }

  #drain(visit: (record: TraceRecord) => void): void {
    this.#reader.drain((record) => {
      this.#coverage.add(record);
      if (record.kind === TraceKind.BAR_READ || record.kind === TraceKind.BAR_WRITE) {
        this.firstAccess ??= record.time;
      }
      visit(record);
    });
  }

  #time(record: TraceRecord): string {
    const seconds = ((record.time - this.#start) / 1e3).toFixed(6).padStart(11);
    return `${colors().dim(seconds)}  `;
  }
}
