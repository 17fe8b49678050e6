import { expect, test } from 'vitest';
import { DOORBELLS } from '../../src/ffi/gate/gate-layout.ts';
import { GateServer } from '../../src/ffi/gate/gate-server.ts';
import { GateFixture, native, system, until } from './gate/gate-fixture.ts';

/** Waits for the callback to return. */
const INVALID_HANDLE_VALUE = 0xffff_ffff_ffff_ffffn;
const INFINITE = 0xffff_ffff;

const ring = native.function('ring');

test('a doorbell reaches the consumer, once for any number of rings', async () => {
  await using fixture = new GateFixture();
  const { gate } = fixture;
  const bells = [gate.addDoorbell(), gate.addDoorbell(), gate.addDoorbell()];
  expect(bells.map(({ index }) => index)).toEqual([0, 1, 2]);
  ring(gate.doorbellCallback, bells[2]!.context, 3);
  const server = new GateServer(system, gate.handle);
  expect(server.pending).toBe(true);
  ring(gate.doorbellCallback, bells[0]!.context, 1);
  expect([server.nextDoorbell(), server.nextDoorbell(), server.nextDoorbell()]).toEqual([0, 2, -1]);
  expect([server.ringsOf(0), server.ringsOf(1), server.ringsOf(2)]).toEqual([1, 0, 3]);
  expect(server.pending).toBe(false);
  ring(gate.doorbellCallback, bells[2]!.context, 1);
  expect([server.nextDoorbell(), server.ringsOf(2), server.nextDoorbell()]).toEqual([2, 4, -1]);
});

test('a consumer that sleeps is woken by doorbells that four threads ring, and misses none', async () => {
  await using fixture = new GateFixture();
  const { gate } = fixture;
  const consumer = await fixture.serve('sleeper');
  const bells = Array.from({ length: 40 }, () => gate.addDoorbell());
  await Promise.all(bells.map(({ context }) => ring.async(gate.doorbellCallback, context, 25)));
  const last = (bell: number): number =>
    consumer.bells.findLast((told) => told.bell === bell)?.rings ?? 0;
  await until(
    () => `the consumer knows of ${bells.map(({ index }) => last(index))}`,
    () => bells.every(({ index }) => last(index) === 25),
  );
});

test('an event that Windows waits for rings a doorbell, without a thread of JavaScript', async () => {
  await using fixture = new GateFixture();
  const { gate } = fixture;
  gate.addDoorbell();
  const bell = gate.addDoorbell();
  const event = Number(system.CreateEventW(null, 0, 0, null));
  const wait: [number | bigint] = [0];
  const { doorbellCallback } = gate;
  expect(
    system.RegisterWaitForSingleObject(wait, event, doorbellCallback, bell.context, INFINITE, 0),
  ).not.toBe(0);
  const server = new GateServer(system, gate.handle);
  for (let rings = 1; rings <= 3; rings++) {
    expect(server.prepareToSleep()).toBe(true);
    system.SetEvent(event);
    expect(system.WaitForSingleObject(server.wakeEvent, 30_000)).toBe(0);
    server.wakeUp();
    expect([server.nextDoorbell(), server.nextDoorbell()]).toEqual([bell.index, -1]);
    expect(server.ringsOf(bell.index)).toBe(rings);
  }
  system.UnregisterWaitEx(wait[0], INVALID_HANDLE_VALUE);
  system.CloseHandle(event);
});

test('a doorbell of a closed gate is silent, and starts afresh when it is opened again', async () => {
  await using fixture = new GateFixture();
  const { gate } = fixture;
  const bell = gate.addDoorbell();
  ring(gate.doorbellCallback, bell.context, 1);
  gate.close();
  ring(gate.doorbellCallback, bell.context, 1);
  gate.reopen();
  const server = new GateServer(system, gate.handle);
  expect([server.pending, server.nextDoorbell(), server.ringsOf(0)]).toEqual([false, -1, 1]);
});

test('a device has a limited number of doorbells', async () => {
  await using fixture = new GateFixture();
  for (let i = 0; i < DOORBELLS; i++) fixture.gate.addDoorbell();
  expect(() => fixture.gate.addDoorbell()).toThrow(
    new RangeError('Cannot add a doorbell: a device has at most 256'),
  );
  const server = new GateServer(system, fixture.gate.handle);
  expect(server.nextDoorbell()).toBe(-1);
});
