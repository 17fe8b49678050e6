import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { deserialize, serialize } from 'node:v8';
import {
  type GuestAllocation,
  type GuestFunction,
  SimulatedGuestAccess,
  type VirtualProcessor,
} from 'hdvkit/testing';

/** What the agent is asked: a method of the guest, or of one of the things that it has given out. */
export interface AgentRequest {
  /** 0 is the guest itself. */
  readonly target: number;
  readonly method: string;
  readonly values: readonly unknown[];
}

/** What it answers. `info` and `target` are there where the answer is a thing to be asked. */
export type AgentAnswer =
  | { readonly value: unknown; readonly target?: number }
  | { readonly error: string };

/**
 * A guest program that does what whoever connects to a socket asks it to do, as the agent in a Linux guest does.
 * Messages are lines: values of V8's serializer in base64. It returns when the connection ends.
 */
export default async function agent({ machine, argument }: VirtualProcessor): Promise<void> {
  const guest = new SimulatedGuestAccess(machine);
  const things: unknown[] = [guest];
  const server = createServer();
  server.listen(argument as string);
  const [socket] = (await once(server, 'connection')) as [import('node:net').Socket];
  server.close();
  for await (const line of createInterface({ input: socket })) {
    const request = deserialize(Buffer.from(line, 'base64')) as AgentRequest;
    const answer = await answerTo(things, request);
    socket.write(`${serialize(answer).toString('base64')}\n`);
  }
}

async function answerTo(things: unknown[], request: AgentRequest): Promise<AgentAnswer> {
  const { target, method, values } = request;
  try {
    const thing = things[target] as Record<string, (...values: readonly unknown[]) => unknown>;
    const value = await thing[method]?.(...values);
    if (method === 'open') {
      things.push(value);
      return { value: (value as GuestFunction).info, target: things.length - 1 };
    }
    if (method === 'allocate') {
      things.push(value);
      return { value: (value as GuestAllocation).gpa, target: things.length - 1 };
    }
    return { value };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
