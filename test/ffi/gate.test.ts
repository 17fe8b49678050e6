import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Missed } from '../../src/ffi/gate/gate-layout.ts';
import { viewGate, word } from '../../src/ffi/gate/gate-memory.ts';
import { GateServer } from '../../src/ffi/gate/gate-server.ts';
import type { Manner } from './gate/gate-consumer.ts';
import { GateFixture, system, until } from './gate/gate-fixture.ts';
import { MemoryDevice } from './gate/memory-device.ts';

const S_OK = 0;
const E_FAIL = 0x8000_4005;
const ones = (length: number): Uint8Array => new Uint8Array(length).fill(0xff);

const manners: readonly Manner[] = ['eager', 'sleeper', 'loop', 'moody'];
describe.each(manners)('a gate served by a consumer that is %s', (manner) => {
  let fixture: GateFixture;
  beforeAll(async () => {
    fixture = new GateFixture();
    await fixture.serve(manner);
  });
  afterAll(() => fixture[Symbol.asyncDispose]());

  test.each([1, 2, 4, 8, 100])('gives %i native threads what they wrote', async (threads) => {
    const calls = Math.ceil(4000 / threads);
    const run = fixture.start(threads, calls);
    await until(
      () => `${run.done} of ${threads * calls} calls returned`,
      () => run.live === 0,
    );
    expect([run.done, run.failed, run.wrong]).toEqual([threads * calls, 0, 0]);
  });

  test.each([0, 1, 2, 3, 4, 8, 16, 64, 65, 200])('carries %i bytes either way', async (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7 + 1);
    expect(await fixture.write(0, 0x8000, bytes)).toBe(0);
    expect(await fixture.read(0, 0x8000, length)).toEqual({ hresult: 0, bytes });
  });
});

describe('a gate without a consumer', () => {
  test('lets 100 threads go that wait when it is closed, and those that come later: accesses as of an empty slot', async () => {
    await using fixture = new GateFixture();
    const run = fixture.start(100, 3);
    await until(
      () => `${run.entered} of 100 threads wait`,
      () => run.entered === 100,
    );
    fixture.gate.close();
    await until(
      () => `${run.live} threads end`,
      () => run.live === 0,
    );
    expect([run.done, run.wrong]).toEqual([300, 0]);
    expect(run.failed).toBeGreaterThan(0);
    expect(await fixture.read(0, 0, 8)).toEqual({ hresult: S_OK, bytes: ones(8) });
    expect(await fixture.read(0, 0, 200)).toEqual({ hresult: S_OK, bytes: ones(200) });
    expect(await fixture.write(0, 0, ones(4))).toBe(S_OK);
    expect(await Promise.all([0, 1, 4, 5].map((which) => fixture.hook(which as 0)))).toEqual([
      E_FAIL,
      0,
      E_FAIL,
      0,
    ]);
  });

  test('fails what brings a device up, and remembers what came without a result, until it opens again', async () => {
    await using fixture = new GateFixture();
    const { gate } = fixture;
    gate.close();
    expect(gate.missed).toBe(0);
    expect([await fixture.configure(['x']), (await fixture.details(6)).hresult]).toEqual([
      E_FAIL,
      E_FAIL,
    ]);
    expect([await fixture.hook(0), await fixture.hook(4), gate.missed]).toEqual([
      E_FAIL,
      E_FAIL,
      0,
    ]);
    await fixture.hook(5);
    expect(gate.missed).toBe(Missed.STOP);
    await fixture.hook(1);
    expect(gate.missed).toBe(Missed.STOP | Missed.TEARDOWN);
    gate.reopen();
    expect(gate.missed).toBe(0);
  });

  test('answers everyone when more threads came than it has slots', async () => {
    await using fixture = new GateFixture();
    const run = fixture.start(100, 1);
    await until(
      () => `${run.entered} of 100 threads wait`,
      () => run.entered === 100,
    );
    const server = new GateServer(system, fixture.gate.handle);
    const device = new MemoryDevice();
    await until(
      () => `${run.live} threads end`,
      () => {
        while (server.next()) device.serve(server);
        return run.live === 0;
      },
    );
    expect([run.done, run.failed, run.wrong]).toEqual([100, 0, 0]);
  });
});

describe('the consumer of a gate', () => {
  test('gets requests in the order in which they came, and what each asks for', async () => {
    await using fixture = new GateFixture();
    const server = new GateServer(system, fixture.gate.handle);
    expect(server.next()).toBe(false);
    const offsets = [0x10, 0x1_2345_6780, 0x8];
    const reads: Promise<unknown>[] = [];
    for (const offset of offsets) {
      const before = server.ticket;
      reads.push(fixture.read(2, offset, 8));
      await until(
        () => 'a request comes',
        () => server.ticket !== before,
      );
    }
    for (const offset of offsets) {
      expect(server.next()).toBe(true);
      expect([server.bar, server.offset, server.length]).toEqual([2, offset, 8]);
      expect(server.answerValue(offset, 0x8899_aabb)).toBe(true);
    }
    expect(server.next()).toBe(false);
    const values = (await Promise.all(reads)) as { bytes: Uint8Array }[];
    expect(values.map(({ bytes }) => Buffer.from(bytes).readUInt32LE(0))).toEqual([
      0x10, 0x2345_6780, 0x8,
    ]);
    expect(Buffer.from(values[0]!.bytes).readUInt32LE(4)).toBe(0x8899_aabb);
  });

  test('sees only the bytes that were written', async () => {
    await using fixture = new GateFixture();
    const server = new GateServer(system, fixture.gate.handle);
    for (const [length, low] of [
      [8, 0x4433_2211],
      [1, 0x11],
      [2, 0x2211],
      [4, 0x4433_2211],
    ] as const) {
      const bytes = Uint8Array.from({ length }, (_, i) => 0x11 * (i + 1));
      const written = fixture.write(0, 0, bytes);
      await until(
        () => 'a write comes',
        () => server.next(),
      );
      expect([server.length, server.low]).toEqual([length, low]);
      if (length === 8) expect(server.high).toBe(0x8877_6655);
      server.answer(0);
      expect(await written).toBe(0);
    }
  });

  test('cannot answer what the owner has failed, nor who came into the slot after it', async () => {
    await using fixture = new GateFixture();
    const { gate } = fixture;
    const stale = new GateServer(system, gate.handle);
    const first = fixture.read(0, 0x10, 4);
    await until(
      () => 'the first read comes',
      () => stale.next(),
    );
    gate.close();
    expect(await first).toEqual({ hresult: S_OK, bytes: ones(4) });
    gate.reopen();

    const server = new GateServer(system, gate.handle);
    const second = fixture.read(0, 0x20, 4);
    await until(
      () => 'the second read comes',
      () => server.next(),
    );
    expect(server.offset).toBe(0x20);
    expect(stale.answerValue(0xdead_dead, 0)).toBe(false);
    expect(server.answerValue(0x0605_0403, 0)).toBe(true);
    expect(await second).toEqual({ hresult: 0, bytes: Uint8Array.of(3, 4, 5, 6) });
  });

  test('takes no answer of 2^29 requests ago, nor the zeros of a fresh slot, for one of now', async () => {
    await using fixture = new GateFixture();
    viewGate(fixture.gate.contextAddress)[word.ticket] = -1;
    const server = new GateServer(system, fixture.gate.handle);
    const read = fixture.read(0, 0, 4);
    await until(
      () => 'a request comes',
      () => server.next(),
    );
    expect(server.answerValue(0x0605_0403, 0)).toBe(true);
    expect(await read).toEqual({ hresult: 0, bytes: Uint8Array.of(3, 4, 5, 6) });
  });

  test('does not go to sleep when a request waits, and is woken when one comes', async () => {
    await using fixture = new GateFixture();
    const server = new GateServer(system, fixture.gate.handle);
    const first = fixture.read(0, 0, 4);
    await until(
      () => 'a request comes',
      () => server.pending,
    );
    expect(server.prepareToSleep()).toBe(false);
    expect(server.next() && server.answerValue(1, 0)).toBe(true);
    await first;

    expect(server.prepareToSleep()).toBe(true);
    expect(system.WaitForSingleObject(server.wakeEvent, 0)).not.toBe(0);
    const second = fixture.read(0, 0, 4);
    expect(system.WaitForSingleObject(server.wakeEvent, 30_000)).toBe(0);
    server.wakeUp();
    expect(server.next() && server.answerValue(1, 0)).toBe(true);
    await second;
  });
});
