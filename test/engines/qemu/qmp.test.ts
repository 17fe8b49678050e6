import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { QmpClient, type QmpEvent } from '../../../src/engines/qemu/qmp.ts';
import { QmpPeer, Refusal, SILENCE } from './qmp-peer.ts';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 30_000 };

let peer: QmpPeer;

beforeEach(async () => {
  peer = await QmpPeer.open();
});

afterEach(() => peer.close());

describe('a control connection', () => {
  test('leaves negotiation mode before the first command', async () => {
    const client = await QmpClient.open(peer.client);
    peer.handler = () => ({ status: 'prelaunch' });
    expect(await client.execute('query-status')).toEqual({ status: 'prelaunch' });
    expect(peer.commands.map(({ execute }) => execute)).toEqual([
      'qmp_capabilities',
      'query-status',
    ]);
  });

  test('gives each command its own answer, in whatever order they come', async () => {
    const client = await QmpClient.open(peer.client);
    peer.handler = () => SILENCE;
    const first = client.execute('a', { x: 1 });
    const second = client.execute('b');
    await expect.poll(() => peer.asked, PATIENCE).toEqual(['a', 'b']);
    const [, a, b] = peer.commands;
    expect(a?.arguments).toEqual({ x: 1 });
    peer.send({ return: 'of b', id: b?.id });
    peer.send({ return: 'of a', id: a?.id });
    expect(await Promise.all([first, second])).toEqual(['of a', 'of b']);
  });

  test('puts messages together that come in pieces', async () => {
    const client = await QmpClient.open(peer.client);
    peer.handler = ({ id }) => {
      const text = `${JSON.stringify({ return: 'whole', id })}\n`;
      peer.write(text.slice(0, 7));
      setImmediate(() => peer.write(text.slice(7)));
      return SILENCE;
    };
    expect(await client.execute('query')).toBe('whole');
  });

  test.each(['{"event": ', 'null', '"text"'])('is cut off by %s, and tells why', async (line) => {
    const client = await QmpClient.open(peer.client);
    peer.handler = () => SILENCE;
    const command = client.execute('query');
    peer.write(`${line}\n`);
    const told = {
      kind: 'Closed',
      message: expect.stringContaining(
        `QEMU does not speak QMP any more, as "${line}" is no message`,
      ),
    };
    await expect(command).rejects.toMatchObject(told);
    await client.closed;
    await expect(client.execute('query')).rejects.toMatchObject(told);
  });

  test('rejects with QEMU’s words when it refuses', async () => {
    const client = await QmpClient.open(peer.client);
    peer.handler = () => new Refusal("Device 'd' not found", 'DeviceNotFound');
    await expect(client.execute('device_del')).rejects.toMatchObject({
      name: 'QmpError',
      kind: 'DeviceNotFound',
      message: "Cannot device_del: Device 'd' not found",
    });
  });

  test('hands events to those who listen, until they stop', async () => {
    const client = await QmpClient.open(peer.client);
    const seen: QmpEvent[] = [];
    const stop = client.listen((event) => seen.push(event));
    peer.event('RESET', { guest: true });
    await expect.poll(() => seen, PATIENCE).toEqual([{ event: 'RESET', data: { guest: true } }]);
    stop();
    peer.event('STOP');
    await client.execute('query-status');
    expect(seen).toHaveLength(1);
  });

  test('gives up on an answer that does not come in time', async () => {
    const client = await QmpClient.open(peer.client, 30);
    peer.handler = () => SILENCE;
    await expect(client.execute('cont')).rejects.toMatchObject({ kind: 'Timeout' });
  });

  test('rejects what is open when QEMU goes away, and what comes after', async () => {
    const client = await QmpClient.open(peer.client);
    peer.handler = () => SILENCE;
    const open = client.execute('cont');
    const rejected = expect(open).rejects.toMatchObject({ kind: 'Closed' });
    await expect.poll(() => peer.asked, PATIENCE).toEqual(['cont']);
    await peer.close();
    await rejected;
    await client.closed;
    await expect(client.execute('stop')).rejects.toThrow('Cannot stop: QEMU has ended');
  });
});
