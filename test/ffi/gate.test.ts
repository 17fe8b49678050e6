import { describe, expect, test } from 'vitest';
import type { Manner } from './gate/gate-consumer.ts';
import { GateFixture, until } from './gate/gate-fixture.ts';
import { Trap } from './gate/memory-device.ts';

const E_FAIL = 0x8000_4005;
const E_INVALIDARG = 0x8007_0057;
const ones = (length: number): Uint8Array => new Uint8Array(length).fill(0xff);

describe('a gate that is served', () => {
  const manners: readonly Manner[] = ['eager', 'sleeper', 'loop', 'moody'];
  test.each(
    manners.flatMap((manner) => [1, 2, 4, 8, 100].map((threads) => [threads, manner] as const)),
  )(
    'gives %i native threads what they wrote, by a consumer that is %s',
    async (threads, manner) => {
      await using fixture = new GateFixture();
      await fixture.serve(manner);
      const calls = Math.ceil(2000 / threads);
      const run = fixture.start(threads, calls);
      await until(
        () => `${run.done} of ${threads * calls} calls returned`,
        () => run.live === 0,
      );
      expect([run.done, run.failed, run.wrong]).toEqual([threads * calls, 0, 0]);
    },
  );

  test.each([1, 2, 3, 4, 8, 16, 64, 65, 200])('carries %i bytes either way', async (length) => {
    await using fixture = new GateFixture();
    await fixture.serve();
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7 + 1);
    expect(await fixture.write(0, 0x200, bytes)).toBe(0);
    expect(await fixture.read(0, 0x200, length)).toEqual({ hresult: 0, bytes });
  });
});

describe('a gate that nobody serves any more', () => {
  test('fails 100 threads that wait when it is closed, and those that come later', async () => {
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
    expect([run.done, run.failed, run.wrong]).toEqual([300, 300, 0]);
    expect(await fixture.read(0, 0, 8)).toEqual({ hresult: E_FAIL, bytes: ones(8) });
  });

  test('fails reads of the device with all ones', async () => {
    await using fixture = new GateFixture();
    await fixture.serve();
    expect(await fixture.read(1, Trap.FAIL, 4)).toEqual({ hresult: E_INVALIDARG, bytes: ones(4) });
    expect(await fixture.read(1, Trap.ABANDON, 4)).toEqual({ hresult: E_FAIL, bytes: ones(4) });
  });
});
