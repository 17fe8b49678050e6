import type { Width } from '../device/mmio-region.ts';
import type { ResetKind } from '../device/services.ts';
import type { FunctionObserver } from '../pci/observer.ts';
import { TraceKind, type TraceRing } from './trace-ring.ts';

/** Numbers of the kinds of reset in a record, in the order of `RESET_KINDS`. */
const RESET_NUMBERS: Readonly<Record<ResetKind, number>> = { cold: 0, function: 1, disconnect: 2 };

/** Writes what an observed function does into a ring. Runs on the device's thread and allocates nothing. */
export class TraceRecorder implements FunctionObserver {
  readonly #ring: TraceRing;

  constructor(ring: TraceRing) {
    this.#ring = ring;
  }

  memoryRead(bar: number, offset: number, width: Width, value: number): void {
    this.#ring.record(TraceKind.BAR_READ, bar, offset, width, value);
  }

  memoryWrite(bar: number, offset: number, width: Width, value: number): void {
    this.#ring.record(TraceKind.BAR_WRITE, bar, offset, width, value);
  }

  doorbellRung(bar: number, offset: number): void {
    this.#ring.record(TraceKind.DOORBELL, bar, offset, 0, 0);
  }

  configRead(offset: number, value: number): void {
    this.#ring.record(TraceKind.CONFIG_READ, 0, offset, 4, value);
  }

  configWrite(offset: number, value: number): void {
    this.#ring.record(TraceKind.CONFIG_WRITE, 0, offset, 4, value);
  }

  dmaRead(gpa: number, length: number, done: boolean): void {
    this.#ring.record(TraceKind.DMA_READ, 0, gpa, length, done ? 1 : 0);
  }

  dmaWrite(gpa: number, length: number, done: boolean): void {
    this.#ring.record(TraceKind.DMA_WRITE, 0, gpa, length, done ? 1 : 0);
  }

  apertureMapped(gpa: number, length: number, done: boolean): void {
    this.#ring.record(TraceKind.APERTURE, 0, gpa, length, done ? 1 : 0);
  }

  interruptRaised(vector: number): void {
    this.#ring.record(TraceKind.INTERRUPT, 0, vector, 0, 0);
  }

  interruptDelivered(vector: number): void {
    this.#ring.record(TraceKind.INTERRUPT_SENT, 0, vector, 0, 0);
  }

  lineChanged(asserted: boolean): void {
    this.#ring.record(TraceKind.INTERRUPT_LINE, 0, 0, 0, asserted ? 1 : 0);
  }

  reset(kind: ResetKind): void {
    this.#ring.record(TraceKind.RESET, 0, RESET_NUMBERS[kind], 0, 0);
  }

  guestError(_text: string, count: number): void {
    this.#ring.record(TraceKind.GUEST_ERROR, 0, count, 0, 0);
  }

  failed(): void {
    this.#ring.record(TraceKind.FAILED, 0, 0, 0, 0);
  }
}
