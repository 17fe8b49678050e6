import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { GuestConnectionInfo, Version } from '../../../hcs/schema/documents.ts';
import { Allowance } from './allowance.ts';
import {
  encodeMessage,
  type GuestMessage,
  GuestProtocolError,
  MessageKind,
  MessageReader,
  Procedure,
  type ProcedureCode,
} from './message.ts';

/** The version of the protocol, for which there is no other. */
const VERSION = 4;
/** The guest itself, among the containers that it could have. */
const GUEST_ITSELF = '00000000-0000-0000-0000-000000000000';
/** Schema versions of a guest that are told. */
const MOST_VERSIONS = 64;
/** Notifications that a guest may send at once, and that it may go on sending in a second. */
const NOTIFICATIONS = [1024, 256] as const;

interface Pending {
  readonly procedure: ProcedureCode;
  readonly resolve: (body: Readonly<Record<string, unknown>>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One connection of the agent in a guest. What the guest sends is read in bounded memory and checked; at the first message
 * that does not keep to the protocol the connection is cut off.
 */
export class GuestSession {
  /** Resolves when there is no connection any more, with the reason where the guest was cut off. */
  readonly closed: Promise<GuestProtocolError | undefined>;
  readonly #socket: Socket;
  readonly #reader = new MessageReader();
  readonly #pending = new Map<bigint, Pending>();
  readonly #notifications = new Allowance(...NOTIFICATIONS);
  #violation: GuestProtocolError | undefined;
  #ping: Promise<void> | undefined;
  #next = 0n;

  /** @param socket a connection that was accepted; the session's from now on */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => this.#receive(data));
    socket.on('error', () => undefined); // 'close' follows.
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const { reject } of this.#pending.values()) {
          reject(this.#violation ?? new Error('the connection to the guest has ended'));
        }
        this.#pending.clear();
        resolve(this.#violation);
      });
    });
  }

  /**
   * Agrees with the guest on the protocol, and does what its agent then asks for.
   * @returns what the guest says of itself
   */
  async negotiate(): Promise<GuestConnectionInfo> {
    const answer = await this.request(Procedure.NEGOTIATE_PROTOCOL, {
      MinimumVersion: VERSION,
      MaximumVersion: VERSION,
    });
    if (answer.Version !== VERSION) {
      throw this.#cutOff(
        `it speaks version ${short(answer.Version)}, and ${VERSION} is spoken here`,
      );
    }
    const capabilities = objectOf(answer.Capabilities);
    if (capabilities.SendHostCreateMessage === true) {
      const ContainerConfig = JSON.stringify({ SystemType: 'Container' });
      await this.request(Procedure.CREATE, { ContainerConfig });
      if (capabilities.SendHostStartMessage === true) await this.request(Procedure.START, {});
    }
    const { GuestDefinedCapabilities } = capabilities;
    return {
      SupportedSchemaVersions: this.#versions(capabilities.SupportedSchemaVersions),
      ProtocolVersion: VERSION,
      ...(GuestDefinedCapabilities === undefined ? {} : { GuestDefinedCapabilities }),
    };
  }

  /**
   * Asks the guest itself for something.
   * @throws Error when the guest fails it, or the connection ends before it has answered
   */
  async request(
    procedure: ProcedureCode,
    body: Readonly<Record<string, unknown>>,
  ): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.#ask(procedure, body);
    const { Result = 0, ErrorMessage } = answer;
    if (typeof Result !== 'number') throw this.#cutOff(`its Result is ${short(Result)}`);
    if (Result >= 0) return answer;
    const words = typeof ErrorMessage === 'string' ? `: ${ErrorMessage.slice(0, 500)}` : '';
    throw new Error(`the guest failed it with 0x${(Result >>> 0).toString(16)}${words}`);
  }

  /**
   * Resolves when the guest has answered a question that changes nothing, be it by failing it: the protocol has no other
   * that every agent hears. One is asked at a time, however many wait for its answer.
   * @throws Error when the connection ends before
   */
  ping(): Promise<void> {
    this.#ping ??= this.#answerToPing();
    return this.#ping;
  }

  /** Ends the connection. */
  close(): void {
    this.#socket.destroy();
  }

  async #answerToPing(): Promise<void> {
    try {
      await this.#ask(Procedure.GET_PROPERTIES, { Query: '{}' });
    } finally {
      this.#ping = undefined;
    }
  }

  async #ask(
    procedure: ProcedureCode,
    body: Readonly<Record<string, unknown>>,
  ): Promise<Readonly<Record<string, unknown>>> {
    const id = this.#next++;
    return await new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
      if (this.#socket.destroyed) throw new Error('the connection to the guest has ended');
      this.#pending.set(id, { procedure, resolve, reject });
      const base = { ContainerId: GUEST_ITSELF, ActivityId: randomUUID() };
      this.#socket.write(encodeMessage(MessageKind.REQUEST, procedure, id, { ...base, ...body }));
    });
  }

  #receive(data: Buffer): void {
    try {
      this.#reader.read(data, (message) => this.#take(message));
    } catch (error) {
      if (!(error instanceof GuestProtocolError)) throw error;
      this.#violation ??= error;
      this.close();
    }
  }

  #take({ kind, procedure, id, body }: GuestMessage): void {
    if (this.#violation !== undefined) return;
    if (kind === MessageKind.NOTIFICATION) {
      if (this.#notifications.take()) return; // Of containers, which there are none of.
      throw new GuestProtocolError('it sent too many notifications');
    }
    const pending = kind === MessageKind.RESPONSE ? this.#pending.get(id) : undefined;
    if (pending?.procedure !== procedure) {
      const type = ((kind | procedure) >>> 0).toString(16).padStart(8, '0');
      throw new GuestProtocolError(`it sent a message of type 0x${type} that nobody asked for`);
    }
    this.#pending.delete(id);
    pending.resolve(body);
  }

  #versions(given: unknown): readonly Version[] {
    if (given === undefined || given === null) return [];
    if (!Array.isArray(given) || given.length > MOST_VERSIONS) {
      throw this.#cutOff('its SupportedSchemaVersions are no list of versions');
    }
    return given.map((version: unknown) => {
      const { Major, Minor } = objectOf(version);
      if (!isNumber(Major) || !isNumber(Minor)) {
        throw this.#cutOff(`it supports the schema version ${short(version)}`);
      }
      return { Major, Minor };
    });
  }

  #cutOff(reason: string): GuestProtocolError {
    this.#violation ??= new GuestProtocolError(reason);
    this.close();
    return this.#violation;
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}

function isNumber(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff_ffff;
}

function short(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 100);
}
