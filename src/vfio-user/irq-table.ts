import { isEventFd, signalEventFd } from '../ffi/descriptors.ts';
import { Irq, type VfioUserDevice } from './device.ts';
import { ServerState, StateWord, VectorFlag } from './server-state.ts';
import { Errno, IrqSet, PayloadSize } from './wire.ts';

const { LATCHED, MASKED } = VectorFlag;

/**
 * The eventfds by which a device interrupts its client, and what SET_IRQS does to them. A vector that is signalled
 * while it has no eventfd, or while masked, is latched and fires as soon as that ends.
 */
export class IrqTable {
  readonly #state: ServerState;
  readonly #device: VfioUserDevice;

  constructor(state: ServerState, device: VfioUserDevice) {
    this.#state = state;
    this.#device = device;
  }

  /** Signals a vector; one that the device does not have is ignored. */
  signal(irq: number, vector: number): void {
    const index = this.#index(irq, vector);
    if (index < 0) return;
    const { triggers, vectorFlags } = this.#state;
    const fd = triggers[index]! - 1;
    if (fd < 0 || (vectorFlags[index]! & MASKED) !== 0) {
      vectorFlags[index]! |= LATCHED;
      return;
    }
    signalEventFd(fd);
    if (irq === Irq.INTX) this.#setMasked(index, true);
  }

  /** Drives INTx: signals while asserted and not masked, and masks itself with each signal. */
  setLine(asserted: boolean): void {
    this.#state.words[StateWord.LINE] = asserted ? 1 : 0;
    this.#driveLine();
  }

  /** A reset forgets what was latched; eventfds stay. */
  forgetLatched(): void {
    this.#state.forgetLatched();
  }

  /** Tells a device that came to a connection which vectors have an eventfd, and sends what it has raised already. */
  announce(): void {
    for (let irq = 0; irq < Irq.COUNT; irq++) {
      for (let vector = 0; vector < this.#device.irqCounts[irq]!; vector++) {
        const index = this.#index(irq, vector);
        if (this.#state.triggers[index] === 0) continue;
        this.#device.vectorChanged?.(irq, vector, true);
        if ((this.#state.vectorFlags[index]! & MASKED) === 0) this.#flush(irq, vector, index);
      }
    }
    this.#driveLine();
  }

  /**
   * SET_IRQS.
   * @param at where the payload starts
   * @param length bytes of the payload
   * @param fds descriptors that came along; those it keeps are set to -1
   * @returns 0 or an errno
   */
  set(view: DataView, at: number, length: number, fds: Int32Array): number {
    if (length < PayloadSize.SET_IRQS) return Errno.EINVAL;
    const argsz = view.getUint32(at, true);
    const flags = view.getUint32(at + 4, true);
    const irq = view.getUint32(at + 8, true);
    const start = view.getUint32(at + 12, true);
    const count = view.getUint32(at + 16, true);
    const data = flags & IrqSet.DATA;
    const action = flags & IrqSet.ACTION;
    if (argsz < PayloadSize.SET_IRQS || irq >= Irq.COUNT) return Errno.EINVAL;
    if (data + action !== flags || !isOneBit(data) || !isOneBit(action)) return Errno.EINVAL;
    if (start + count > this.#device.irqCounts[irq]!) return Errno.EINVAL;
    if (action !== IrqSet.TRIGGER && irq !== Irq.INTX) return Errno.EINVAL;
    if (data !== IrqSet.DATA_EVENTFD && fds.length > 0) return Errno.EINVAL;

    if (count === 0) {
      if (flags !== (IrqSet.DATA_NONE | IrqSet.TRIGGER) || start !== 0) return Errno.EINVAL;
      this.#disable(irq);
      return 0;
    }
    if (data === IrqSet.DATA_EVENTFD) return this.#install(action, irq, start, count, fds);
    if (data === IrqSet.DATA_BOOL && length < PayloadSize.SET_IRQS + count) return Errno.EINVAL;
    for (let i = 0; i < count; i++) {
      const chosen =
        data === IrqSet.DATA_NONE || view.getUint8(at + PayloadSize.SET_IRQS + i) !== 0;
      if (chosen) this.#act(action, irq, start + i);
    }
    return 0;
  }

  #act(action: number, irq: number, vector: number): void {
    if (action === IrqSet.TRIGGER) {
      this.signal(irq, vector);
      return;
    }
    const masked = action === IrqSet.MASK;
    this.#setMasked(this.#index(irq, vector), masked);
    this.#device.maskChanged?.(irq, vector, masked);
    if (!masked) this.#driveLine();
  }

  #install(action: number, irq: number, start: number, count: number, fds: Int32Array): number {
    if (fds.length !== 0 && fds.length !== count) return Errno.EINVAL;
    for (const fd of fds) if (!isEventFd(fd)) return Errno.EINVAL;
    const table = this.#tableOf(action);
    for (let i = 0; i < count; i++) {
      const fd = fds[i] ?? -1;
      if (fds.length > 0) fds[i] = -1;
      this.#replace(table, irq, start + i, fd);
    }
    return 0;
  }

  #tableOf(action: number): Int32Array {
    if (action === IrqSet.TRIGGER) return this.#state.triggers;
    return action === IrqSet.MASK ? this.#state.maskFds : this.#state.unmaskFds;
  }

  #replace(table: Int32Array, irq: number, vector: number, fd: number): void {
    const index = this.#index(irq, vector);
    const old = table[index]! - 1;
    table[index] = fd + 1;
    // The same again where a thread died after it had installed it.
    if (old !== fd) this.#state.close(old);
    if (table !== this.#state.triggers) return;
    if (fd >= 0) {
      this.#state.vectorFlags[index]! &= ~MASKED;
      this.#flush(irq, vector, index);
    }
    if (fd >= 0 || old >= 0) this.#device.vectorChanged?.(irq, vector, fd >= 0);
    if (irq === Irq.INTX) this.#driveLine();
  }

  #disable(irq: number): void {
    const { triggers, maskFds, unmaskFds, vectorFlags } = this.#state;
    for (let vector = 0; vector < this.#device.irqCounts[irq]!; vector++) {
      const index = this.#index(irq, vector);
      vectorFlags[index] = 0;
      this.#replace(maskFds, irq, vector, -1);
      this.#replace(unmaskFds, irq, vector, -1);
      this.#replace(triggers, irq, vector, -1);
    }
  }

  /** Fires what was latched while the vector had no eventfd. */
  #flush(irq: number, vector: number, index: number): void {
    const { vectorFlags } = this.#state;
    if ((vectorFlags[index]! & LATCHED) === 0) return;
    vectorFlags[index]! &= ~LATCHED;
    this.signal(irq, vector);
  }

  #driveLine(): void {
    const index = this.#index(Irq.INTX, 0);
    if (index < 0) return;
    const { words, vectorFlags, triggers } = this.#state;
    const flags = vectorFlags[index]!;
    if (triggers[index] === 0 || (flags & MASKED) !== 0) return;
    if (words[StateWord.LINE] === 0 && (flags & LATCHED) === 0) return;
    vectorFlags[index] = flags & ~LATCHED;
    this.signal(Irq.INTX, 0);
  }

  #setMasked(index: number, masked: boolean): void {
    const { vectorFlags, maskFds, unmaskFds } = this.#state;
    if (masked) vectorFlags[index]! |= MASKED;
    else vectorFlags[index]! &= ~MASKED;
    const fd = (masked ? maskFds : unmaskFds)[index]! - 1;
    if (fd >= 0) signalEventFd(fd);
  }

  #index(irq: number, vector: number): number {
    return vector < this.#device.irqCounts[irq]! ? ServerState.vectorIndex(irq, vector) : -1;
  }
}

function isOneBit(value: number): boolean {
  return value !== 0 && (value & (value - 1)) === 0;
}
