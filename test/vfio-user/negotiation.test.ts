import { describe, expect, test } from 'vitest';
import { Command } from '../../src/vfio-user/wire.ts';
import { Pair } from './pair.ts';

const EINVAL = 22;

function propose(json: string | undefined, minor = 0) {
  const pair = new Pair(undefined, { negotiate: false });
  const reply = pair.client.negotiate(json, minor);
  const { closed } = pair.server;
  pair.close();
  return { reply, closed };
}

function capabilitiesOf(payload: Buffer): Record<string, unknown> {
  expect(payload.at(-1)).toBe(0);
  const { capabilities } = JSON.parse(payload.toString('utf8', 4, payload.length - 1));
  return capabilities;
}

describe('a proposal that is accepted', () => {
  test("QEMU's own is answered with what QEMU takes", () => {
    using pair = new Pair(undefined, { negotiate: false });
    const reply = pair.client.negotiate();
    expect(reply.flags).toBe(1);
    expect(reply.payload.readUInt32LE(0)).toBe(0);
    expect(capabilitiesOf(reply.payload)).toEqual({
      max_msg_fds: 16,
      max_data_xfer_size: 1048576,
      pgsizes: 4096,
      max_dma_maps: 65535,
      write_multiple: true,
    });
  });

  test('the number of descriptors is capped at what the client says, and at 1 when it says nothing', () => {
    const say = (fds: number | undefined) =>
      capabilitiesOf(propose(JSON.stringify({ capabilities: { max_msg_fds: fds } })).reply.payload);
    expect(say(8).max_msg_fds).toBe(8);
    expect(say(200).max_msg_fds).toBe(16);
    expect(say(undefined).max_msg_fds).toBe(1);
  });

  test.each([
    ['no JSON at all', undefined],
    ['an empty object', '{}'],
    ['unknown keys', '{"capabilities":{"spice":true},"colour":1}'],
    ['twin_socket, which is not taken up', '{"capabilities":{"twin_socket":{"supported":true}}}'],
  ])('%s', (_, json) => {
    const { reply, closed } = propose(json);
    expect(reply.flags).toBe(1);
    expect(closed).toBe(false);
  });

  test('the minor version is at most the proposed one', () => {
    expect(propose('{}', 0).reply.payload.readUInt16LE(2)).toBe(0);
    expect(propose('{}', 1).reply.payload.readUInt16LE(2)).toBe(1);
    expect(propose('{}', 9).reply.payload.readUInt16LE(2)).toBe(1);
  });
});

describe('a proposal that is refused with EINVAL, and ends the connection', () => {
  test.each([
    ['text that is no JSON', '{"capabilities":'],
    ['an array', '[]'],
    ['capabilities of another type', '{"capabilities":7}'],
    ['a negative count', '{"capabilities":{"max_msg_fds":-1}}'],
    ['a fraction', '{"capabilities":{"max_dma_maps":1.5}}'],
    ['a number too large', '{"capabilities":{"max_msg_fds":4294967296}}'],
    ['transfers of no bytes', '{"capabilities":{"max_data_xfer_size":0}}'],
    ['a string for a number', '{"capabilities":{"pgsizes":"4096"}}'],
    ['a number for a truth value', '{"capabilities":{"write_multiple":1}}'],
    ['migration of another type', '{"capabilities":{"migration":true}}'],
    ['a migration size of another type', '{"capabilities":{"migration":{"pgsize":"x"}}}'],
  ])('%s', (_, json) => {
    const { reply, closed } = propose(json);
    expect([reply.flags, reply.error]).toEqual([0x21, EINVAL]);
    expect(closed).toBe(true);
  });

  test.each([
    ['another major version', Buffer.from([1, 0, 0, 0])],
    ['text without its NUL', Buffer.from('\0\0\0\0{}')],
    ['bytes that are no UTF-8', Buffer.from([0, 0, 0, 0, 0x22, 0xff, 0x22, 0])],
    ['a payload that is too short', Buffer.from([0, 0])],
  ])('%s', (_, payload) => {
    using pair = new Pair(undefined, { negotiate: false });
    const reply = pair.client.request(Command.VERSION, payload);
    expect([reply.flags, reply.error]).toEqual([0x21, EINVAL]);
    expect(pair.server.closed).toBe(true);
    expect(pair.device.ended?.type).toBe('protocol');
  });
});

test('anything before VERSION is refused and ends the connection', () => {
  using pair = new Pair(undefined, { negotiate: false });
  const reply = pair.client.request(Command.DEVICE_GET_INFO, Buffer.from([16, 0, 0, 0]));
  expect(reply.error).toBe(EINVAL);
  expect(pair.server.closed).toBe(true);
});

test('a second VERSION is refused, and the connection goes on', () => {
  using pair = new Pair();
  expect(pair.client.negotiate().error).toBe(EINVAL);
  expect(pair.client.read(0, 0, 4)).toBe(0);
});
