import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RemoteService } from '../../src/daemon/remote-service.ts';
import { InProcessDaemon } from './in-process.ts';

describe('who hangs up without a word', () => {
  /** Takes every connection and ends it, as the kernel does for a daemon that is being killed. */
  async function dying(): Promise<{ path: string; close: () => Promise<void> }> {
    const folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
    const path = join(folder, 'hcsd.sock');
    const server = createServer((socket) => socket.destroy());
    server.listen(path);
    await once(server, 'listening');
    const close = async (): Promise<void> => {
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true });
    };
    return { path, close };
  }

  async function connectTo(path: string): Promise<Socket> {
    const socket = connect(path);
    await once(socket, 'connect');
    return socket;
  }

  test('was a daemon that was dying: the next one is asked', async () => {
    const daemon = new InProcessDaemon();
    const { path, close } = await dying();
    let calls = 0;
    const remote = new RemoteService({
      connect: () => (calls++ < 2 ? connectTo(path) : daemon.connect()),
      greetingLimitMs: 30_000,
    });
    try {
      expect(await remote.greet()).toMatchObject({ host: 'simulated' });
      expect(calls).toBe(3);
    } finally {
      await remote.close();
      await close();
      await daemon.close();
    }
  });

  test('again and again is no service, and is told as that', async () => {
    const { path, close } = await dying();
    const remote = new RemoteService({ connect: () => connectTo(path), greetingLimitMs: 30_000 });
    try {
      await expect(remote.greet()).rejects.toThrow(/there is no service that greets: /);
    } finally {
      await remote.close();
      await close();
    }
  });
});
