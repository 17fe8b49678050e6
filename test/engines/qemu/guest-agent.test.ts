import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GuestAgent } from '../../../src/engines/qemu/guest-agent.ts';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 30_000 };

const GREETING = '\n* hdvkit-agent 1\n';
let folder: string;
let path: string;
let server: Server;
let guest: Socket;
/** Answers of the guest by request; a request without one stays open. */
let answers: (command: string, id: string) => string | undefined;
let requests: string[];
let agent: GuestAgent | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvs-'));
  path = join(folder, 'agent');
  requests = [];
  answers = () => undefined;
  server = createServer((socket) => {
    guest = socket;
    let rest = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) answer(line);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});

afterEach(async () => {
  await agent?.[Symbol.asyncDispose]();
  agent = undefined;
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

function answer(line: string): void {
  const [, id = '', command = ''] = /^(\d+) (.*)$/.exec(line) ?? [];
  if (id === '' || command === 'hello') return;
  requests.push(command);
  const text = answers(command, id);
  if (text !== undefined) guest.write(text);
}

/** A guest that has just booted. */
async function booted(): Promise<GuestAgent> {
  server.once('connection', (socket) => socket.write(`[    1.0] noise${GREETING}`));
  agent = await GuestAgent.connect(path);
  return agent;
}

describe('a guest’s agent', () => {
  test('is connected to once it has said that it is there', async () => {
    const connected = GuestAgent.connect(path);
    await new Promise((resolve) => server.once('connection', resolve));
    guest.write(GREETING);
    agent = await connected;
  });

  test('is connected to when it has been there for long', async () => {
    server.removeAllListeners('connection');
    server.on('connection', (socket) => {
      guest = socket;
      socket.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes('hello')) socket.write('1 = hdvkit-agent 1\n');
      });
    });
    agent = await GuestAgent.connect(path);
  });

  test('sends numbers as hexadecimal digits and reads them back', async () => {
    const connected = await booted();
    answers = (_command, id) => `${id} = ffffffff\n`;
    expect(await connected.readBar('0000:01:00.0', 2, 0x104, 4)).toBe(0xffff_ffff);
    await connected.writeBar('0000:01:00.0', 0, 8, 8, 0x1_0000_0000n);
    expect(requests).toEqual(['read 0000:01:00.0 2 104 4', 'write 0000:01:00.0 0 8 8 100000000']);
  });

  test('moves memory in pieces that a line can hold', async () => {
    const connected = await booted();
    const memory = Buffer.alloc(20_000);
    answers = (command, id) => {
      const [name, gpa = '', rest = ''] = command.split(' ');
      const at = Number.parseInt(gpa, 16) - 0x10_0000;
      if (name === 'memory-write') {
        Buffer.from(rest, 'hex').copy(memory, at);
        return `${id} =\n`;
      }
      const end = at + Number.parseInt(rest, 16);
      return `${id} = ${memory.subarray(at, end).toString('hex')}\n`;
    };
    const bytes = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i * 7));
    await connected.writeMemory(0x10_0000, bytes);
    expect((await connected.readMemory(0x10_0000, 20_000)).equals(bytes)).toBe(true);
    expect(Math.max(...requests.map((line) => line.length))).toBeLessThan(64 * 1024);
  });

  test('rejects with what the guest says', async () => {
    const connected = await booted();
    answers = (_command, id) => `${id} ! read: Numerical result out of range\n`;
    await expect(connected.readBar('0000:01:00.0', 0, 0x1000, 4)).rejects.toThrow(
      'Cannot read in the guest: read: Numerical result out of range',
    );
  });

  test('gives a command’s output, however it is cut, and its exit code', async () => {
    const connected = await booted();
    answers = (_command, id) => {
      const text = `${id} + 1 6\nfirst\n${id} + 2 6\n9 = 0\n${id} + 1 7\nsecond\n${id} = 7\n`;
      for (const byte of Buffer.from(text)) guest.write(Buffer.of(byte));
      return undefined;
    };
    expect(await connected.run('echo a')).toEqual({
      exitCode: 7,
      stdout: 'first\nsecond\n',
      stderr: '9 = 0\n',
    });
    expect(requests).toEqual(['run echo a']);
  });

  test('sends a command of several lines as one', async () => {
    const connected = await booted();
    answers = (_command, id) => `${id} = 0\n`;
    await connected.run('a\nb');
    const [, encoded = ''] =
      /^run eval "\$\(echo (\S+) \| base64 -d\)"$/.exec(requests[0] ?? '') ?? [];
    expect(Buffer.from(encoded, 'base64').toString()).toBe('a\nb');
  });

  test('kills a command that the caller gives up', async () => {
    const connected = await booted();
    const abort = new AbortController();
    let running = '';
    answers = (command, id) => {
      if (command.startsWith('run')) running = id;
      if (command.startsWith('signal')) return `${id} =\n${running} = 89\n`;
      return undefined;
    };
    const result = connected.run('sleep 100', { signal: abort.signal });
    await expect.poll(() => running, PATIENCE).not.toBe('');
    abort.abort(new Error('enough'));
    await expect(result).rejects.toThrow('enough');
    expect(requests.at(-1)).toBe(`signal ${running} 9`);
  });

  test('rejects what is open when the guest restarts, and says when it is back', async () => {
    const connected = await booted();
    const open = connected.find(0x1234, 0x11e8);
    const rejected = expect(open).rejects.toThrow('Cannot find in the guest: it restarted');
    await expect.poll(() => requests, PATIENCE).toEqual(['find 1234 11e8']);
    const back = connected.restarted();
    guest.write(GREETING);
    await back;
    await rejected;
  });

  test('rejects what is open when the machine ends', async () => {
    const connected = await booted();
    const open = connected.find(1, 2);
    const rejected = expect(open).rejects.toThrow(
      'Cannot find in the guest: the machine has ended',
    );
    guest.destroy();
    await rejected;
    await connected.closed;
    await expect(connected.find(1, 2)).rejects.toThrow('the machine has ended');
  });

  test('is waited for no longer than the caller wants', async () => {
    const abort = new AbortController();
    const connected = GuestAgent.connect(path, { signal: abort.signal });
    const rejected = expect(connected).rejects.toThrow('enough');
    await new Promise((resolve) => server.once('connection', resolve));
    abort.abort(new Error('enough'));
    await rejected;
  });
});
