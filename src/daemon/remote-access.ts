import type { Cancellation } from '../compute/cancellation.ts';
import { failure } from '../compute/failure.ts';
import type { SystemAccess } from '../compute/service-access.ts';
import type { SystemCall } from '../compute/system-calls.ts';
import type { SystemKind } from '../compute/system-kind.ts';
import type { SystemListener } from '../compute/system-listener.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT, signedHresult } from '../hcs/hresult.ts';
import type { SystemExitStatus } from '../hcs/schema/documents.ts';
import type { Link } from './link.ts';

/** What a {@link RemoteAccess} is made of. */
export interface RemoteAccessOptions {
  readonly kind: SystemKind;
  readonly directoryId: string;
  readonly listener: SystemListener;
  readonly link: Promise<Link>;
  /** The number of a handle that is open at the service already. */
  readonly handle?: number;
}

/** A system behind a handle of one connection. */
export class RemoteAccess implements SystemAccess, SystemListener {
  readonly kind: SystemKind;
  readonly directoryId: string;
  readonly #listener: SystemListener;
  readonly #ready: Promise<{ readonly link: Link; readonly handle: number }>;
  /** Whether the service refused to create the system: it knows no such handle. */
  #wasRefused = false;
  #isOver = false;

  constructor({ kind, directoryId, listener, link, handle }: RemoteAccessOptions) {
    this.kind = kind;
    this.directoryId = directoryId;
    this.#listener = listener;
    this.#ready = link.then((open) => ({ link: open, handle: handle ?? open.openHandle(this) }));
    this.#ready.catch(() => {});
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  event(...[type, document]: Parameters<SystemListener['event']>): void {
    this.#listener.event(type, document);
  }

  ended(exit: string): void {
    this.#isOver = true;
    this.#listener.ended(exit);
  }

  disconnected(): void {
    this.#isOver = true;
    this.#listener.disconnected();
  }

  /** @param sent called when the service has been asked, or cannot be */
  async create(
    params: {
      readonly function: string;
      readonly idNamespace: string;
      readonly id: string;
      readonly configuration: string;
      readonly securityDescriptor: string | null;
    },
    cancellation: Cancellation,
    sent: () => void,
  ): Promise<null> {
    try {
      const { link, handle } = await this.#ready;
      const done = link.track(params.function, 'create', { ...params, handle }, cancellation);
      sent();
      return await done;
    } catch (error) {
      this.#refused(error);
      throw error;
    } finally {
      sent();
    }
  }

  async call(call: SystemCall, cancellation: Cancellation): Promise<string | null> {
    const { function: name, text } = call;
    if (this.#wasRefused) throw neverWas(name);
    const { link, handle } = await this.#ready;
    const params = { handle, function: name, text };
    try {
      return await link.track(name, 'call', params, cancellation);
    } catch (error) {
      throw this.#wasRefused ? neverWas(name) : error;
    }
  }

  async close(): Promise<void> {
    const name = 'HcsCloseComputeSystem';
    const ready = await this.#ready.catch(() => undefined);
    if (ready === undefined || ready.link.isOver) return;
    const { link, handle } = ready;
    link.closeHandle(handle);
    // One that the service does not know is as good as closed.
    if (!this.#wasRefused) await link.request(name, 'close', { handle }).catch(() => {});
  }

  /** The creation failed: where the service has not said how the system ended, it never was. */
  #refused(error: unknown): void {
    if (this.#isOver) return;
    this.#wasRefused = true;
    const hresult = error instanceof HcsError ? error.hresult : HRESULT.E_FAIL;
    const exit: SystemExitStatus = { Status: signedHresult(hresult), ExitType: 'UnexpectedExit' };
    this.ended(JSON.stringify(exit));
  }
}

/** Keeps what is told of a handle until there is somebody who listens. */
export class Postponed implements SystemListener {
  #listener: SystemListener | undefined;
  #waiting: ((listener: SystemListener) => void)[] = [];

  event(...[type, document]: Parameters<SystemListener['event']>): void {
    this.#pass((listener) => listener.event(type, document));
  }

  ended(exit: string): void {
    this.#pass((listener) => listener.ended(exit));
  }

  disconnected(): void {
    this.#pass((listener) => listener.disconnected());
  }

  tell(listener: SystemListener): void {
    this.#listener = listener;
    for (const pass of this.#waiting) pass(listener);
    this.#waiting = [];
  }

  #pass(pass: (listener: SystemListener) => void): void {
    if (this.#listener === undefined) this.#waiting.push(pass);
    else pass(this.#listener);
  }
}

function neverWas(name: string): HcsError {
  const message = 'the service has not created the system: close the handle';
  return failure(name, 'HCS_E_SYSTEM_ALREADY_STOPPED', message);
}
