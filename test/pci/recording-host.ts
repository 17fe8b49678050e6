import type { Aperture, Clock, GuestMemory, Timer } from '../../src/device/services.ts';
import type { FunctionNotice, PciHost, PciHostCapabilities } from '../../src/pci/host.ts';

/** A host of one function: remembers what the function asked for, has 64 KiB of RAM at 0, and time by hand. */
export class RecordingHost implements PciHost {
  readonly capabilities: PciHostCapabilities;
  readonly ram = Buffer.alloc(0x1_0000);
  readonly messages: [address: number, data: number][] = [];
  readonly line: boolean[] = [];
  readonly notices: FunctionNotice[] = [];
  /** Apertures that were made and not yet disposed. */
  openApertures = 0;
  /** Addresses that reached the host. */
  readonly touched: number[] = [];
  readonly memory: GuestMemory;
  readonly clock: Clock;
  #now = 0;
  #timers: { at: number; fn: () => void }[] = [];

  constructor(capabilities: Partial<PciHostCapabilities> = {}) {
    this.capabilities = { commandRegister: 'forwarded', intx: true, ...capabilities };
    const inRam = (gpa: number, length: number): boolean => {
      this.touched.push(gpa);
      return gpa + length <= this.ram.length;
    };
    this.memory = {
      read: (gpa, into) => {
        if (!inRam(gpa, into.length)) return false;
        into.set(this.ram.subarray(gpa, gpa + into.length));
        return true;
      },
      write: (gpa, from) => {
        if (!inRam(gpa, from.length)) return false;
        this.ram.set(from, gpa);
        return true;
      },
      aperture: (gpa, length) => (inRam(gpa, length) ? this.#open(gpa, length) : undefined),
    };
    const now = (): number => this.#now;
    this.clock = {
      get now() {
        return now();
      },
      after: (ms, fn) => this.#schedule(ms, fn),
    };
  }

  /** Timers that wait. */
  get timers(): number {
    return this.#timers.length;
  }

  get guestErrors(): string[] {
    return this.notices.flatMap((notice) => (notice.type === 'guestError' ? [notice.text] : []));
  }

  get failures(): Error[] {
    return this.notices.flatMap((notice) => (notice.type === 'failed' ? [notice.error] : []));
  }

  deliverInterrupt(address: number, data: number): void {
    this.messages.push([address, data]);
  }

  setInterruptLine(asserted: boolean): void {
    this.line.push(asserted);
  }

  report(notice: FunctionNotice): void {
    this.notices.push(notice);
  }

  /** Messages since the last call. */
  takeMessages(): [address: number, data: number][] {
    return this.messages.splice(0);
  }

  advance(ms: number): void {
    this.#now += ms;
    for (;;) {
      const due = this.#timers.find(({ at }) => at <= this.#now);
      if (due === undefined) return;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      due.fn();
    }
  }

  #schedule(ms: number, fn: () => void): Timer {
    const timer = { at: this.#now + ms, fn };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((candidate) => candidate !== timer);
      },
    };
  }

  #open(gpa: number, length: number): Aperture {
    this.openApertures++;
    const bytes = this.ram.subarray(gpa, gpa + length);
    return {
      gpa,
      length,
      bytes,
      [Symbol.dispose]: () => {
        this.openApertures--;
      },
    };
  }
}
