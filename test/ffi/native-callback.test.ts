import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OutCell } from '../../src/ffi/abi.ts';
import { registerCallback } from '../../src/ffi/native-callback.ts';
import { koffi } from '../../src/ffi/native-config.ts';
import { NativeLibrary } from '../../src/ffi/native-library.ts';
import { readWideString } from '../../src/ffi/wide-string.ts';
import { hasProbe, PROBE_ABI, probeLibrary } from './abi-probe.ts';

const E_FAIL = 0x8000_4005;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe.runIf(hasProbe)('a callback', () => {
  let path: string;
  let probe: NativeLibrary<typeof PROBE_ABI>;
  beforeAll(() => {
    path = probeLibrary();
    probe = NativeLibrary.open(path, PROBE_ABI);
  });
  afterAll(() => {
    if (process.platform !== 'win32') rmSync(dirname(path), { recursive: true, force: true });
  });

  test('gets integers, addresses as numbers, and text by its address', () => {
    const seen: unknown[] = [];
    const question = registerCallback(PROBE_ABI, 'PROBE_QUESTION', (...given) => {
      const [context, number, offset, text, answer] = given;
      seen.push(context, number, offset, readWideString(text));
      koffi.encode(answer, 'uint32_t', 42);
      return 0;
    });
    const answer: OutCell = [0];
    expect(probe.function('ProbeAsk')(question, 0x7f00_0000_1000, answer)).toBe(0);
    expect(answer).toEqual([42]);
    expect(seen).toEqual([0x7f00_0000_1000, 7, 0x1234_5678_9abc, 'a\u{1f600}']);
  });

  test.each([0x8037_0105, 0x8037_0105 | 0, 1])('answers native code with HRESULT %d', (result) => {
    const question = registerCallback(PROBE_ABI, 'PROBE_QUESTION', () => result);
    expect(probe.function('ProbeAsk')(question, 0, [0])).toBe(result >>> 0);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('on purpose');
      },
      'on purpose',
    ],
    [
      'throws no Error',
      () => {
        throw 'text';
      },
      'text',
    ],
    ['returns nothing', () => undefined, 'Cannot return undefined from PROBE_QUESTION'],
    ['returns a promise', async () => 0, 'Cannot return object from PROBE_QUESTION'],
  ])('that %s fails the native call, and reports later', async (_what, handler, message) => {
    const reported: unknown[] = [];
    const question = registerCallback(
      PROBE_ABI,
      'PROBE_QUESTION',
      handler as unknown as () => number, // what a JavaScript caller can do
      (error) => reported.push(error),
    );
    const answer: OutCell = [0];
    expect(probe.function('ProbeAsk')(question, 0, answer)).toBe(E_FAIL);
    expect(answer).toEqual([0xeeee_eeee]);
    expect(reported).toEqual([]);
    await turn();
    expect(String(reported)).toContain(message);
  });

  test('without a result may throw as well', async () => {
    const reported: unknown[] = [];
    const notice = registerCallback(
      PROBE_ABI,
      'PROBE_NOTICE',
      () => {
        throw new Error('noticed');
      },
      (error) => reported.push(error),
    );
    expect(probe.function('ProbeNotify')(notice, 0)).toBeUndefined();
    await turn();
    expect(String(reported)).toContain('noticed');
  });

  test('goes on serving after it threw, when native threads call', async () => {
    let calls = 0;
    const reported: unknown[] = [];
    const question = registerCallback(
      PROBE_ABI,
      'PROBE_QUESTION',
      (_context, _number, _offset, _text, answer) => {
        calls++;
        if (calls % 3 === 0) throw new Error('every third');
        koffi.encode(answer, 'uint32_t', 1);
        return 0;
      },
      (error) => reported.push(error),
    );
    const sum: OutCell = [0];
    const result = await probe.function('ProbeAskOnThreads').async(question, 0, 4, 30, sum);
    expect([calls, result]).toEqual([120, E_FAIL]);
    expect(sum).toEqual([(80 + 40 * 0xeeee_eeee) % 2 ** 32]);
    await turn();
    expect(reported).toHaveLength(40);
  });

  test('serves more than 256 threads that wait at once', async () => {
    const question = registerCallback(PROBE_ABI, 'PROBE_QUESTION', (...given) => {
      koffi.encode(given[4], 'uint32_t', 1);
      return 0;
    });
    const sum: OutCell = [0];
    const asked = probe.function('ProbeAskOnThreads').async(question, 0, 300, 1, sum);
    // Nothing is answered while this thread does not return to its loop, so all of them queue up.
    const waiting = probe.function('ProbeWaiting');
    while (waiting() < 300);
    expect(await asked).toBe(0);
    expect(sum).toEqual([300]);
  });

  test('of no table is refused', () => {
    const register = registerCallback as unknown as (...all: unknown[]) => number;
    expect(() => register(PROBE_ABI, 'PROBE_OTHER', () => 0)).toThrow(
      'Cannot register PROBE_OTHER: abi-probe.dll does not declare this callback',
    );
  });
});
