import type { Aperture, GuestMemory } from '../device/services.ts';
import type { FunctionState } from './function-state.ts';

/** Guest memory as a device may use it: only while bus mastering is on, only in range, and never past its stop. */
export class DeviceMemory implements GuestMemory {
  readonly #state: FunctionState;
  readonly #apertures = new Set<TrackedAperture>();

  constructor(state: FunctionState) {
    this.#state = state;
  }

  read(gpa: number, into: Uint8Array): boolean {
    if (into.length === 0) return true;
    const host = this.#allowed('read', gpa, into.length);
    const done = host?.memory.read(gpa, into) ?? false;
    if (!done) into.fill(0xff);
    this.#finish('read', host !== undefined, gpa, into.length, done);
    this.#state.observer?.dmaRead?.(gpa, into.length, done);
    return done;
  }

  write(gpa: number, from: Uint8Array): boolean {
    if (from.length === 0) return true;
    const host = this.#allowed('write', gpa, from.length);
    const done = host?.memory.write(gpa, from) ?? false;
    this.#finish('write', host !== undefined, gpa, from.length, done);
    this.#state.observer?.dmaWrite?.(gpa, from.length, done);
    return done;
  }

  aperture(
    gpa: number,
    length: number,
    options?: { readonly readOnly?: boolean },
  ): Aperture | undefined {
    if (length === 0) return new TrackedAperture(empty(gpa), this.#apertures);
    const verb = options?.readOnly === true ? 'map for reading' : 'map';
    const host = this.#allowed(verb, gpa, length);
    const opened = host?.memory.aperture(gpa, length, options);
    this.#finish(verb, host !== undefined, gpa, length, opened !== undefined);
    this.#state.observer?.apertureMapped?.(gpa, length, opened !== undefined);
    if (opened === undefined) return undefined;
    const tracked = new TrackedAperture(opened, this.#apertures);
    this.#apertures.add(tracked);
    return tracked;
  }

  /** Takes all apertures back. Their bytes can still be touched; they are no longer the guest's. */
  revoke(): void {
    for (const aperture of this.#apertures) aperture[Symbol.dispose]();
  }

  /** The host, when this access may go to it. Says to the guest's account why not. */
  #allowed(verb: string, gpa: number, length: number): FunctionState['host'] {
    const { host, mastering, asleep, started, failure } = this.#state;
    if (host === undefined || !started || failure !== undefined) return undefined;
    if (!mastering) {
      const reason = asleep ? 'the function is in D3hot' : 'bus mastering is off';
      this.#state.guestError(`Cannot ${verb} ${length} bytes at ${hex(gpa)}: ${reason}`);
      return undefined;
    }
    const inRange = Number.isSafeInteger(gpa) && gpa >= 0 && length > 0 && length <= 2 ** 53 - gpa;
    if (!inRange) {
      this.#state.guestError(
        `Cannot ${verb} ${length} bytes at ${hex(gpa)}: addresses are 0 to 2^53 - 1`,
      );
      return undefined;
    }
    return host;
  }

  #finish(verb: string, asked: boolean, gpa: number, length: number, done: boolean): void {
    if (done || !asked) return;
    this.#state.guestError(`Cannot ${verb} ${length} bytes at ${hex(gpa)}: ${REASONS[verb]}`);
  }
}

/** Why a host refuses. */
const REASONS: Readonly<Record<string, string>> = {
  read: 'not all of it is memory',
  write: 'not all of it is writable memory',
  map: 'not all of it is memory that can be mapped for writing',
  'map for reading': 'not all of it is memory that can be mapped',
};

/** An aperture that its device's stop can take back. */
class TrackedAperture implements Aperture {
  readonly gpa: number;
  readonly length: number;
  readonly #inner: Aperture;
  readonly #open: Set<TrackedAperture>;
  #disposed = false;

  constructor(inner: Aperture, open: Set<TrackedAperture>) {
    this.gpa = inner.gpa;
    this.length = inner.length;
    this.#inner = inner;
    this.#open = open;
  }

  get bytes(): Buffer {
    return this.#inner.bytes;
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#open.delete(this);
    this.#inner[Symbol.dispose]();
  }
}

function empty(gpa: number): Aperture {
  return { gpa, length: 0, bytes: Buffer.alloc(0), [Symbol.dispose]: () => {} };
}

const hex = (gpa: number): string => (Number.isInteger(gpa) ? `0x${gpa.toString(16)}` : `${gpa}`);
