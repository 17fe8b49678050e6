import type { BarNames } from './bar-names.ts';
import { TraceKind, type TraceRecord } from './trace-ring.ts';

/** One place that a driver touched and the device does not model. */
export interface UnmodelledPlace {
  readonly slot: number;
  readonly offset: number;
  /** Bytes of the last access. */
  readonly width: number;
  readonly reads: number;
  readonly writes: number;
  /** The last value that was written, or undefined. */
  readonly lastWritten: number | undefined;
}

/** Collects, from trace records, the offsets that a driver uses and the device has nothing at. */
export class Coverage {
  readonly #names: BarNames;
  readonly #places = new Map<string, UnmodelledPlace>();

  constructor(names: BarNames) {
    this.#names = names;
  }

  /** Takes one record; only accesses of BARs count. */
  add({ kind, slot, location, length, value }: TraceRecord): void {
    const isWrite = kind === TraceKind.BAR_WRITE;
    if (!isWrite && kind !== TraceKind.BAR_READ) return;
    if (this.#names.locate(slot, location).isModelled) return;
    const key = `${slot} ${location}`;
    const known = this.#places.get(key);
    this.#places.set(key, {
      slot,
      offset: location,
      width: length,
      reads: (known?.reads ?? 0) + (isWrite ? 0 : 1),
      writes: (known?.writes ?? 0) + (isWrite ? 1 : 0),
      lastWritten: isWrite ? value : known?.lastWritten,
    });
  }

  /** What was found, by BAR and offset. */
  get places(): readonly UnmodelledPlace[] {
    return [...this.#places.values()].sort((a, b) => a.slot - b.slot || a.offset - b.offset);
  }

  /** The list as text; says so when there is nothing. */
  format(): string {
    const { places } = this;
    if (places.length === 0) return 'Every offset that the driver touched is modelled.';
    const lines = places.map(({ slot, offset, width, reads, writes, lastWritten }) => {
      const last = lastWritten === undefined ? '' : `, last written 0x${lastWritten.toString(16)}`;
      return `  BAR${slot}+0x${offset.toString(16)}  ${width} bytes  ${reads} reads, ${writes} writes${last}`;
    });
    return ['Touched by the driver, and not modelled:', ...lines].join('\n');
  }
}
