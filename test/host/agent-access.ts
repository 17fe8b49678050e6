import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { deserialize, serialize } from 'node:v8';
import type {
  GuestAccess,
  GuestAllocation,
  GuestFunction,
  GuestFunctionInfo,
} from 'hdvkit/testing';
import type { AgentAnswer, AgentRequest } from './agent-program.ts';

/** The module of the program that answers an {@link AgentAccess}. */
export const AGENT_PROGRAM = new URL('./agent-program.ts', import.meta.url);

/** {@link GuestAccess} to a simulated machine, wherever it is, in which the agent runs. */
export class AgentAccess implements GuestAccess {
  readonly #socket: Socket;
  readonly #answers: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  private constructor(socket: Socket, ended: Promise<unknown>) {
    this.#socket = socket;
    this.#answers = createInterface({ input: socket })[Symbol.asyncIterator]();
    this.#ended = ended;
  }

  /**
   * Waits until the agent listens.
   * @param ended the run of the program
   * @throws what the run was rejected with
   */
  static async connect(path: string, ended: Promise<unknown>): Promise<AgentAccess> {
    let failure: Error | undefined;
    ended.catch((error: Error) => {
      failure = error;
    });
    for (;;) {
      const socket = connect(path);
      try {
        await once(socket, 'connect');
        return new AgentAccess(socket, ended);
      } catch {
        if (failure !== undefined) throw failure;
        await delay(20);
      }
    }
  }

  async functions(): Promise<readonly GuestFunctionInfo[]> {
    return (await this.#ask(0, 'functions')).value as readonly GuestFunctionInfo[];
  }

  async open(match: {
    readonly vendorId: number;
    readonly deviceId: number;
  }): Promise<GuestFunction> {
    const { value: info, target = 0 } = await this.#ask(0, 'open', match);
    const call =
      (method: keyof GuestFunction) =>
      async (...values: readonly unknown[]) =>
        (await this.#ask(target, method, ...values)).value as never;
    return {
      info: info as GuestFunctionInfo,
      readConfig: call('readConfig'),
      writeConfig: call('writeConfig'),
      readBar: call('readBar'),
      writeBar: call('writeBar'),
      readBar64: call('readBar64'),
      writeBar64: call('writeBar64'),
      enableInterrupts: call('enableInterrupts'),
      disableInterrupts: call('disableInterrupts'),
      takeInterrupts: call('takeInterrupts'),
      waitInterrupt: call('waitInterrupt'),
      reset: call('reset'),
    };
  }

  async allocate(bytes: number): Promise<GuestAllocation> {
    const { value: gpa, target = 0 } = await this.#ask(0, 'allocate', bytes);
    return {
      gpa: gpa as number,
      length: bytes,
      read: async (offset, length) =>
        Buffer.from((await this.#ask(target, 'read', offset, length)).value as Uint8Array),
      write: async (offset, from) => void (await this.#ask(target, 'write', offset, from)),
    };
  }

  async sleep(ms: number): Promise<void> {
    await this.#ask(0, 'sleep', ms);
  }

  /** The program returns. */
  async close(): Promise<void> {
    this.#socket.end();
    await this.#ended.catch(() => undefined);
  }

  async #ask(
    target: number,
    method: string,
    ...values: readonly unknown[]
  ): Promise<Exclude<AgentAnswer, { readonly error: string }>> {
    const request: AgentRequest = { target, method, values };
    this.#socket.write(`${serialize(request).toString('base64')}\n`);
    const { value: line, done } = await this.#answers.next();
    if (done === true) throw new Error('The agent has ended');
    const answer = deserialize(Buffer.from(line, 'base64')) as AgentAnswer;
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  }
}
