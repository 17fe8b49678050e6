import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stopService } from '../../src/daemon/stop-service.ts';

const ANSWER = { stops: true, systems: 0, keepsSystems: true, version: '0.0.0', pid: 4711 };

let folder: string;
let socket: string;
let server: Server;
let answered: (client: Socket) => void;

/** A service that says that it ends. */
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hcss-'));
  socket = join(folder, 'hcsd.sock');
  answered = () => {};
  server = createServer((client) => {
    client.on('error', () => {});
    client.once('data', (data) => {
      const { id } = JSON.parse(data.toString().split('\r\n\r\n')[1]!);
      const body = JSON.stringify({ jsonrpc: '2.0', id, result: ANSWER });
      client.write(`Content-Length: ${body.length}\r\n\r\n${body}`, () => answered(client));
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

test('a service has ended when it has closed the connection', async () => {
  answered = (client) => client.end();
  expect(await stopService({ socket, isSure: true })).toEqual(ANSWER);
});

test('one that goes on after it has said that it ends is told', async () => {
  const ending = stopService({ socket, isSure: true, greetingLimitMs: 1e6, endingLimitMs: 50 });
  await expect(ending).rejects.toMatchObject({
    code: 'HCS_E_OPERATION_TIMEOUT',
    reason: expect.stringContaining('process 4711 has said that it ends, and has not within 50 ms'),
  });
});
