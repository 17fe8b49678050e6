import { describe, expect, test } from 'vitest';
import { PHASE_BITS, Phase } from '../../src/ffi/gate/gate-layout.ts';
import { SLOT_WORDS, slotWord, viewGate } from '../../src/ffi/gate/gate-memory.ts';
import { GateServer } from '../../src/ffi/gate/gate-server.ts';
import { InterceptGate } from '../../src/ffi/gate/intercept-gate.ts';
import type { WindowsSystem } from '../../src/ffi/windows-system.ts';
import { GateFixture, native, system, until } from './gate/gate-fixture.ts';
import { Trap } from './gate/memory-device.ts';

const S_OK = 0;
const E_FAIL = 0x8000_4005;
const E_INVALIDARG = 0x8007_0057;
const E_NOTIMPL = 0x8000_4001;
const ones = (length: number): Uint8Array => new Uint8Array(length).fill(0xff);

describe('the owner of a gate', () => {
  test('sees what a device does not return from, ends it, and lets another one serve', async () => {
    await using fixture = new GateFixture();
    const { gate } = fixture;
    const consumer = await fixture.serve();
    expect([gate.serving, gate.progress]).toEqual([undefined, undefined]);
    const hanging = fixture.read(1, Trap.HANG, 4);
    await until(
      () => 'the device hangs',
      () => gate.serving !== undefined,
    );
    expect(gate.serving).toBe('a read of 4 bytes at 0x20 of BAR 1');
    const { progress } = gate;
    expect(progress).not.toBeUndefined();
    const others = fixture.start(4, 5);
    await until(
      () => 'others wait',
      () => others.entered === 4,
    );
    expect(gate.progress).toBe(progress);

    gate.close();
    expect(await hanging).toEqual({ hresult: S_OK, bytes: ones(4) });
    await until(
      () => `${others.live} threads end`,
      () => others.live === 0,
    );
    expect([others.done, others.wrong]).toEqual([20, 0]);
    expect([gate.serving, gate.progress]).toEqual([undefined, undefined]);

    await consumer.kill();
    await fixture.serve();
    expect(await fixture.read(0, 0, 4)).toEqual({ hresult: S_OK, bytes: ones(4) });
    gate.reopen();
    expect(await fixture.write(0, 0x30, Uint8Array.of(9))).toBe(0);
    expect((await fixture.read(0, 0x30, 1)).bytes).toEqual(Uint8Array.of(9));
  });

  test('answers for a device that throws out of its thread', async () => {
    await using fixture = new GateFixture();
    const consumer = await fixture.serve();
    const read = fixture.read(1, Trap.THROW, 2);
    await consumer.ended();
    fixture.gate.close();
    expect(await read).toEqual({ hresult: S_OK, bytes: ones(2) });
  });

  test('loses no thread when it kills its consumer at any moment under load', async () => {
    await using fixture = new GateFixture();
    const { gate } = fixture;
    for (let round = 0; round < 5; round++) {
      const consumer = await fixture.serve(round % 2 === 0 ? 'eager' : 'moody');
      const run = fixture.start(8, 0);
      await until(
        () => `${run.done} calls in round ${round}`,
        () => run.done > 500 + 97 * round,
      );
      expect([run.failed, run.wrong]).toEqual([0, 0]);
      await consumer.kill();
      gate.close();
      const { done } = run;
      await until(
        () => `${run.done - done} calls after closing`,
        () => run.done > done + 100,
      );
      run.stop();
      // An answer that was begun is failed at once only where the thread that began it is known to be over.
      gate.reopen();
      gate.close();
      await until(
        () => `${run.live} threads end`,
        () => run.live === 0,
      );
      expect(run.wrong).toBe(0);
      expect(run.failed).toBeGreaterThan(0);
      gate.reopen();
    }
  });

  test('wakes whom a consumer has answered, and was ended before it could say so', () => {
    const woken: number[] = [];
    const recording: WindowsSystem = Object.create(system, {
      WakeByAddressSingle: { value: (address: number) => woken.push(address) },
    });
    const gate = InterceptGate.create(recording);
    const words = viewGate(gate.contextAddress);
    const ticket = 7 << PHASE_BITS;
    // As the words of two slots are then: one thread sleeps, the other one is awake and will see for itself.
    for (const [slot, waiting] of [
      [5, 1],
      [6, 0],
    ] as const) {
      const at = slot * SLOT_WORDS;
      words[slotWord.state + at] = ticket | Phase.ANSWERING;
      words[slotWord.answered + at] = ticket | Phase.ANSWERED;
      words[slotWord.waiting + at] = waiting;
    }
    gate.close();
    expect(woken).toEqual([gate.contextAddress + (slotWord.answered + 5 * SLOT_WORDS) * 4]);
  });

  test('wakes a consumer that went to sleep before the gate was opened again', async () => {
    await using fixture = new GateFixture();
    const { gate } = fixture;
    gate.close();
    const server = new GateServer(system, gate.handle);
    expect(server.prepareToSleep()).toBe(true);
    gate.reopen();
    const read = fixture.read(0, 0, 4);
    expect(system.WaitForSingleObject(server.wakeEvent, 30_000)).toBe(0);
    server.wakeUp();
    expect(server.next() && server.answerValue(1, 0)).toBe(true);
    expect((await read).hresult).toBe(0);
  });

  test('says which callback is being served', async () => {
    await using fixture = new GateFixture();
    const { gate } = fixture;
    const server = new GateServer(system, gate.handle);
    const served = async (call: Promise<unknown>): Promise<string | undefined> => {
      await until(
        () => 'a request comes',
        () => server.next(),
      );
      const { serving } = gate;
      server.answer(0);
      await call;
      return serving;
    };
    expect(await served(fixture.hook(0))).toBe('Initialize');
    expect(await served(fixture.hook(1))).toBe('Teardown');
    expect(await served(fixture.hook(4))).toBe('Start');
    expect(await served(fixture.hook(5))).toBe('Stop');
    expect(await served(fixture.write(3, 0x1_0000_0008, Uint8Array.of(1)))).toBe(
      'a write of 1 byte at 0x100000008 of BAR 3',
    );
    expect(await served(fixture.configure([]))).toBe('SetConfiguration');
    expect(await served(fixture.details(6))).toBe('GetDetails');
  });
});

describe('the device table', () => {
  test('is of version 1, one for all gates', async () => {
    await using one = new GateFixture();
    await using two = new GateFixture();
    expect(native.function('table_version')(one.gate.tableAddress)).toBe(1);
    expect(two.gate.tableAddress).toBe(one.gate.tableAddress);
    expect(two.gate.contextAddress).not.toBe(one.gate.contextAddress);
  });

  test('hands over each callback, its results, and strings of any length', async () => {
    await using fixture = new GateFixture();
    const consumer = await fixture.serve('loop');
    const long = 'aä€😀'.repeat(500);
    const calls = [
      fixture.hook(0),
      fixture.configure([]),
      fixture.configure(['', 'one', long, 'x']),
    ];
    const results: number[] = [];
    for (const call of calls) results.push(await call);
    expect(results).toEqual([0, 0, 0]);
    expect(await fixture.details(6)).toEqual({
      hresult: 0,
      pnp: Uint8Array.from({ length: 12 }, (_, i) => i + 1),
      bars: Uint8Array.from({ length: 24 }, (_, i) => i + 13),
    });
    expect(await fixture.hook(4)).toBe(E_NOTIMPL);
    expect(await fixture.hook(5)).toBe(0);
    expect(await fixture.hook(1)).toBe(0);
    expect((await consumer.log()).sort()).toEqual(
      [
        'INITIALIZE',
        'SetConfiguration []',
        `SetConfiguration ${JSON.stringify(['', 'one', long, 'x'])}`,
        'GetDetails 6',
        'START',
        'STOP',
        'TEARDOWN',
      ].sort(),
    );
  });

  test('gives all ones for a read that the device fails, and its HRESULT', async () => {
    await using fixture = new GateFixture();
    await fixture.serve();
    expect(await fixture.read(1, Trap.FAIL, 4)).toEqual({ hresult: E_INVALIDARG, bytes: ones(4) });
    expect(await fixture.read(1, Trap.ABANDON, 4)).toEqual({ hresult: E_FAIL, bytes: ones(4) });
  });
});
