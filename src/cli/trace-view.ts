import { BarNames } from '../inspect/bar-names.ts';
import { decodeConfigSpace } from '../inspect/config-space.ts';
import { Coverage } from '../inspect/coverage.ts';
import { type TraceReader, TraceRing } from '../inspect/trace-ring.ts';
import { formatTraceRecord, type TraceNames } from '../inspect/trace-text.ts';
import { readConfigSpace } from './config-bytes.ts';
import type { DeviceFile } from './device-file.ts';
import { colors, remark } from './terminal.ts';

/** How often what was recorded is printed. */
const INTERVAL_MS = 50;
const CAPACITY = 2 ** 17;

/**
 * Prints what a device records, from wherever it runs, while it runs; and, at the end, what the driver touched that
 * the device does not model.
 */
export class TraceView implements Disposable {
  /** For the thread that the device runs on. */
  readonly memory: SharedArrayBuffer;
  readonly #reader: TraceReader;
  readonly #names: TraceNames;
  readonly #coverage: Coverage;
  readonly #start = performance.timeOrigin + performance.now();
  #lost = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ device, function: fn }: DeviceFile) {
    const ring = TraceRing.create(CAPACITY);
    const space = decodeConfigSpace(readConfigSpace(fn));
    this.memory = ring.memory;
    this.#reader = ring.reader();
    this.#names = {
      bars: new BarNames(device.bars, fn.shape.interrupts),
      capabilities: [...space.capabilities, ...space.extendedCapabilities],
    };
    this.#coverage = new Coverage(this.#names.bars);
  }

  /** Prints from now on, until disposal. Does not keep the process alive. */
  follow(): void {
    this.#timer ??= setInterval(() => this.flush(), INTERVAL_MS).unref();
  }

  /** Prints what has been recorded since the last time. */
  flush(): void {
    const c = colors();
    this.#reader.drain((record) => {
      this.#coverage.add(record);
      const time = ((record.time - this.#start) / 1e3).toFixed(6).padStart(11);
      process.stdout.write(`${c.dim(time)}  ${formatTraceRecord(record, this.#names)}\n`);
    });
    const lost = this.#reader.lost - this.#lost;
    this.#lost = this.#reader.lost;
    if (lost > 0)
      remark(`${lost} records came faster than they could be printed, and are missing here`);
  }

  /** Prints the rest, and the list of what is not modelled. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.flush();
    process.stdout.write(`\n${this.#coverage.format()}\n`);
  }
}
