import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GuestConnection } from '../../../../src/engines/qemu/guest/connection.ts';
import {
  encodeMessage,
  type GuestMessage,
  MessageKind,
  MessageReader,
  Procedure,
} from '../../../../src/engines/qemu/guest/message.ts';
import { errorOf } from '../../../compute/recording-engine.ts';

const { REQUEST, RESPONSE, NOTIFICATION } = MessageKind;
const LIMIT = 60_000;
const CAPABILITIES = {
  SupportedSchemaVersions: [{ Major: 2, Minor: 1, Other: true }],
  GuestDefinedCapabilities: { Any: ['thing'] },
};
const INFO = {
  SupportedSchemaVersions: [{ Major: 2, Minor: 1 }],
  ProtocolVersion: 4,
  GuestDefinedCapabilities: { Any: ['thing'] },
};

let folder: string;
let connection: GuestConnection;
let closed: number;
const sockets: Socket[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvg-'));
  closed = 0;
  connection = new GuestConnection(join(folder, 'agent'), () => closed++);
  await connection.listen();
});

afterEach(() => {
  connection.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  rmSync(folder, { recursive: true, force: true });
});

test('is not listened to where that cannot be, and that is said each time until it can', async () => {
  const path = join(folder, 'later', 'agent');
  const other = new GuestConnection(path, () => {});
  await expect(other.listen()).rejects.toThrow('listen');
  await expect(other.listen()).rejects.toThrow('listen');
  mkdirSync(join(folder, 'later'));
  await other.listen();
  expect(existsSync(path)).toBe(true);
  other.close();
});

type Answer = Readonly<Record<string, unknown>>;

/** An agent that answers each request with what `answer` says; nothing at all where that is undefined. */
function agent(answer: (message: GuestMessage) => Answer | Buffer | undefined): Socket {
  const socket = open();
  const reader = new MessageReader();
  socket.on('data', (data: Buffer) =>
    reader.read(data, (message) => {
      const given = answer(message);
      if (given === undefined) return;
      const { procedure, id } = message;
      socket.write(Buffer.isBuffer(given) ? given : encodeMessage(RESPONSE, procedure, id, given));
    }),
  );
  return socket;
}

function open(): Socket {
  const socket = connect(join(folder, 'agent'));
  socket.on('error', () => undefined);
  sockets.push(socket);
  return socket;
}

const agreed = (more: Answer = {}): Answer => ({
  Result: 0,
  Version: 4,
  Capabilities: { ...CAPABILITIES, ...more },
});
const good = (): Socket => agent(() => agreed());

/** Resolves when the host has ended a connection. */
async function ended(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

function frame(type: number, size: number, body: string | Buffer = '', id = 0n): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(type >>> 0, 0);
  header.writeUInt32LE(size, 4);
  header.writeBigInt64LE(id, 8);
  return Buffer.concat([header, Buffer.from(body)]);
}

const whole = (type: number, body: string | Buffer, id?: bigint): Buffer =>
  frame(type, 16 + Buffer.from(body).length, body, id);

const NEGOTIATED = RESPONSE | Procedure.NEGOTIATE_PROTOCOL;

test('an agent that agrees is the one that is connected, until it goes', async () => {
  const first = good();
  await connection.connected(LIMIT);
  expect(connection.info).toEqual(INFO);
  const second = good();
  await ended(second);
  expect(connection.info).toEqual(INFO);
  expect(closed).toBe(0);
  first.destroy();
  await expect.poll(() => closed).toBe(1);
  expect(connection.info).toBeUndefined();
  good();
  await expect.poll(() => connection.info).toEqual(INFO);
});

test('the agent is asked what the protocol asks, and created and started where it says so', async () => {
  const asked: unknown[] = [];
  agent(({ kind, procedure, body: { ActivityId, ...body } }) => {
    asked.push([kind, procedure, body]);
    expect(ActivityId).toMatch(/^[0-9a-f-]{36}$/);
    return procedure === Procedure.NEGOTIATE_PROTOCOL
      ? agreed({ SendHostCreateMessage: true, SendHostStartMessage: true })
      : { Result: 0 };
  });
  await connection.connected(LIMIT);
  const ContainerId = '00000000-0000-0000-0000-000000000000';
  expect(asked).toEqual([
    [REQUEST, Procedure.NEGOTIATE_PROTOCOL, { ContainerId, MinimumVersion: 4, MaximumVersion: 4 }],
    [REQUEST, Procedure.CREATE, { ContainerId, ContainerConfig: '{"SystemType":"Container"}' }],
    [REQUEST, Procedure.START, { ContainerId }],
  ]);
});

test('messages may come byte by byte, or several at once', async () => {
  const socket = agent(({ procedure, id }) => {
    const answer = encodeMessage(RESPONSE, procedure, id, agreed());
    for (const byte of answer) socket.write(Buffer.of(byte));
    return Buffer.alloc(0);
  });
  await connection.connected(LIMIT);
  socket.write(Buffer.concat(Array(3).fill(whole(NOTIFICATION | 0x00100101, '{"Type":"x"}'))));
  expect(await connection.shutDown()).toBe(true);
});

describe('is cut off, and harms nobody,', () => {
  test.each([
    ['a message of four GiB', frame(NEGOTIATED, 0xffff_ffff), 'a message of 4294967295 bytes'],
    ['one byte more than may be', frame(NEGOTIATED, 65_537), 'a message of 65537 bytes'],
    ['less than a header', frame(NEGOTIATED, 15), 'a message of 15 bytes'],
    ['words of another protocol', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), 'a message of'],
    ['no UTF-8', whole(NEGOTIATED, Buffer.of(0x7b, 0xff, 0x7d)), 'no JSON'],
    ['no JSON', whole(NEGOTIATED, '{"Result":0'), 'no JSON'],
    ['nothing', whole(NEGOTIATED, ''), 'no JSON'],
    ['no object', whole(NEGOTIATED, '[1]'), 'no JSON object'],
    ['what is nested too deep', whole(NEGOTIATED, `{"a":${'['.repeat(60_000)}`), 'nested too deep'],
    ['an answer that nobody waits for', whole(NEGOTIATED, '{}', 77n), 'that nobody asked for'],
    ['an answer to another request', whole(RESPONSE | Procedure.START, '{}'), 'type 0x20100201'],
    ['a request', whole(REQUEST | Procedure.SHUTDOWN_GRACEFUL, '{}'), 'type 0x10100301'],
    ['another version', whole(NEGOTIATED, '{"Version":5}'), 'it speaks version 5'],
    ['no version', whole(NEGOTIATED, '{"__proto__":{"Version":4}}'), 'it speaks version undefined'],
    ['a Result of another kind', whole(NEGOTIATED, '{"Result":"ok"}'), 'its Result is "ok"'],
    ['a failure', whole(NEGOTIATED, '{"Result":-5,"ErrorMessage":"no"}'), '0xfffffffb: no'],
    [
      'no list of versions',
      whole(NEGOTIATED, '{"Version":4,"Capabilities":{"SupportedSchemaVersions":{"length":9}}}'),
      'no list of versions',
    ],
    [
      'versions that are none',
      whole(NEGOTIATED, '{"Version":4,"Capabilities":{"SupportedSchemaVersions":[{"Major":-1}]}}'),
      'it supports the schema version {"Major":-1}',
    ],
  ])('who sends %s', async (_, bytes, reason) => {
    const hostile = agent(() => bytes);
    await ended(hostile);
    expect(connection.info).toBeUndefined();
    const waiting = connection.connected(1);
    const error = await errorOf(() => waiting);
    expect([error.code, error.reason]).toEqual([
      'HCS_E_CONNECTION_TIMEOUT',
      expect.stringContaining(reason),
    ]);
    good();
    await connection.connected(LIMIT);
    expect(closed).toBe(0);
  });

  test('who sends notifications without end', async () => {
    const hostile = good();
    await connection.connected(LIMIT);
    const flood = Buffer.concat(Array(5000).fill(whole(NOTIFICATION | 0x00100101, '{}')));
    hostile.write(flood);
    await ended(hostile);
    await expect.poll(() => closed).toBe(1);
    good();
    await connection.connected(LIMIT);
  });

  test('who makes connections without end, and an agent comes through', async () => {
    const many = Array.from({ length: 300 }, () => open().resume());
    const isConnected = (): boolean => connection.info !== undefined;
    await expect
      .poll(
        () => {
          if (!isConnected()) good();
          return isConnected();
        },
        { timeout: LIMIT, interval: 100 },
      )
      .toBe(true);
    await expect.poll(() => many.filter((socket) => !socket.destroyed).length).toBeLessThan(5);
  });

  test('who says nothing: an agent is connected all the same', async () => {
    const silent = agent(() => undefined);
    await once(silent, 'data');
    good();
    await connection.connected(LIMIT);
    expect(connection.info).toEqual(INFO);
  });
});

describe('to shut down', () => {
  test('is asked of an agent that is connected', async () => {
    expect(await connection.shutDown()).toBe(false);
    const procedures: number[] = [];
    agent(({ procedure }) => {
      procedures.push(procedure);
      return procedure === Procedure.NEGOTIATE_PROTOCOL ? agreed() : { Result: 0 };
    });
    await connection.connected(LIMIT);
    expect(await connection.shutDown()).toBe(true);
    expect(procedures.at(-1)).toBe(Procedure.SHUTDOWN_GRACEFUL);
  });

  test('is refused in the words of the agent', async () => {
    agent(({ procedure }) =>
      procedure === Procedure.NEGOTIATE_PROTOCOL
        ? agreed()
        : { Result: -2147467259, ErrorMessage: 'busy' },
    );
    await connection.connected(LIMIT);
    await expect(connection.shutDown()).rejects.toThrow('failed it with 0x80004005: busy');
  });

  test('is heard by an agent that goes without an answer', async () => {
    const socket = agent(({ procedure }) => {
      if (procedure === Procedure.NEGOTIATE_PROTOCOL) return agreed();
      socket.destroy();
      return undefined;
    });
    await connection.connected(LIMIT);
    expect(await connection.shutDown()).toBe(true);
  });
});

describe('a heartbeat', () => {
  const ok = { State: 'Ok', Reason: 'Unknown' };
  const lost = { State: 'LostCommunication', Reason: 'CommunicationTimedOut' };

  beforeEach(async () => {
    connection.close();
    connection = new GuestConnection(join(folder, 'agent'), () => closed++, 1);
    await connection.listen();
  });

  test('is that of an agent that answers, be it by a failure, and is asked for without anybody who wants to know', async () => {
    expect(connection.heartbeat()).toEqual({ State: 'NoContact', Reason: 'Unknown' });
    let answer: Answer = { Result: 0, Properties: '{}' };
    const asked: unknown[] = [];
    agent(({ procedure, body }) => {
      if (procedure === Procedure.NEGOTIATE_PROTOCOL) return agreed();
      asked.push([procedure, body.Query]);
      return answer;
    });
    await connection.connected(LIMIT);
    await expect.poll(() => asked.length).toBeGreaterThan(1);
    expect(asked[0]).toEqual([Procedure.GET_PROPERTIES, '{}']);
    expect(connection.heartbeat(LIMIT)).toEqual(ok);
    answer = { Result: -2147467263, ErrorMessage: 'not implemented' };
    const before = asked.length;
    await expect.poll(() => asked.length).toBeGreaterThan(before + 1);
    expect(connection.heartbeat(LIMIT)).toEqual(ok);
  });

  test('of an agent that hangs is lost after a while until it answers, which nobody waits for, and it is asked once', async () => {
    const waiting: GuestMessage[] = [];
    const hangs = agent((message) => {
      if (message.procedure === Procedure.NEGOTIATE_PROTOCOL) return agreed();
      waiting.push(message);
      return undefined;
    });
    await connection.connected(LIMIT);
    await expect.poll(() => waiting.length).toBe(1);
    // It may still answer in time: what is known last is that it has agreed.
    expect(connection.heartbeat(LIMIT)).toEqual(ok);
    await expect.poll(() => connection.heartbeat(1)).toEqual(lost);
    expect(waiting).toHaveLength(1);
    const [{ procedure, id }] = waiting as [GuestMessage];
    hangs.write(encodeMessage(RESPONSE, procedure, id, {}));
    // The next question is not an answer to the one before.
    await expect.poll(() => waiting.length).toBe(2);
    expect(connection.heartbeat(LIMIT)).toEqual(ok);
  });

  test('is lost with the connection, and the reason told', async () => {
    const first = good();
    await connection.connected(LIMIT);
    first.destroy();
    await expect.poll(() => closed).toBe(1);
    expect(connection.heartbeat()).toEqual({
      State: 'LostCommunication',
      Reason: 'FailedCommunication',
    });
    agent(({ procedure }) =>
      procedure === Procedure.NEGOTIATE_PROTOCOL ? agreed() : whole(NEGOTIATED, '{}'),
    );
    await connection.connected(LIMIT);
    await expect.poll(() => closed).toBe(2);
    const mismatch = { State: 'LostCommunication', Reason: 'ProtocolMismatch' };
    expect(connection.heartbeat(LIMIT)).toEqual(mismatch);
  });
});

test('who waits for an agent hears of the end of the machine', async () => {
  const waiting = connection.connected(LIMIT);
  connection.close();
  expect((await errorOf(() => waiting)).code).toBe('HCS_E_CONNECTION_CLOSED');
});

test('what a guest has forgotten is closed when it connects again', async () => {
  const old = good();
  await connection.connected(LIMIT);
  connection.forget();
  expect([closed, connection.info]).toEqual([1, undefined]);
  expect(old.destroyed).toBe(false);
  good();
  await connection.connected(LIMIT);
  await ended(old);
  expect([closed, connection.info]).toEqual([1, INFO]);
});
