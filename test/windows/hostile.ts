import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Callback, MANNERS, type Manner } from './hostile-device.ts';
import { ACCESSES, type HostileOutcome, runHostile, THREADS } from './hostile-run.ts';
import { standInsUnavailable } from './stand-ins.ts';
import { openWindowsHost, type WindowsTestHost } from './windows-test-host.ts';

/** Every pair five times, or half of the pairs once: each callback in two manners, each manner in half of the callbacks. */
const isLong = process.env.HDVKIT_LONG === '1';
const ROUNDS = isLong ? 5 : 1;

/** Callbacks whose failure fails the attach; Windows passes a number on, and no more. */
const REFUSING: readonly Callback[] = ['initialize', 'setConfiguration', 'getDetails', 'start'];
const E_FAIL = 0x8000_4005;

/** A device that goes wrong in each of these callbacks, in every manner, while native threads call it. */
export function describeHostile(callbacks: readonly Callback[]): void {
  const runs = callbacks.flatMap((callback, row) =>
    MANNERS.filter((_, column) => isLong || (row + column) % 2 === 0).map(
      (manner) => [callback, manner] as const,
    ),
  );
  describe.runIf(standInsUnavailable === undefined)('a device that goes wrong', () => {
    let host: WindowsTestHost;

    beforeAll(async () => {
      host = await openWindowsHost({ stallLimitMs: 500, heapLimit: 24 });
    });

    afterAll(async () => {
      await host?.close();
    });

    for (let round = 1; round <= ROUNDS; round++) {
      test.each(runs)(
        `%s %s: an error by name, and nobody waits (round ${round})`,
        async (callback, manner) => {
          const outcome = await runHostile(host, `hdvkit-${randomUUID()}`, randomUUID(), {
            callback,
            manner,
          });
          if (REFUSING.includes(callback)) expectRefusal(outcome);
          else expectFailure(outcome, callback, manner);
          expectLateCallsRefused(outcome);
          expect(host.standIns.misuses({ id: outcome.systemId })).toEqual([]);
          expect((await host.guestOf({ id: outcome.systemId })).threadsInside()).toBe(0);
          for (const kind of ['system', 'operation', 'host', 'device', 'aperture'] as const) {
            expect([kind, host.standIns.openHandles(kind, outcome.systemId)]).toEqual([kind, 0]);
          }
        },
      );
    }
  });
}

/** The attach says which HRESULT it was, and the device is in no machine. */
function expectRefusal({ refusal, attachment }: HostileOutcome): void {
  expect(attachment).toBeUndefined();
  expect(refusal).toMatchObject({ name: 'HcsError', code: 'E_FAIL', hresult: E_FAIL });
}

/** The accesses all came back, and the device was reported as failed, once, with the reason. */
function expectFailure(
  { refusal, attachment, failures, hammered }: HostileOutcome,
  callback: Callback,
  manner: Manner,
): void {
  expect(refusal).toBeUndefined();
  expect(failures.map(({ name }) => name)).toEqual(['DeviceFailedError']);
  expect(attachment?.failure).toBe(failures[0]);
  expect(failures[0]?.message).toMatch(REASONS[manner]);
  if (callback === 'stop' || callback === 'teardown') {
    expect(hammered?.gone).toBe(THREADS);
    return;
  }
  // Whoever found the device gone reads ones, and the guest's accesses do not fail.
  expect(hammered?.accesses).toBe(THREADS * ACCESSES);
  expect(hammered?.failed).toBe(0);
  expect(hammered?.ones).toBeGreaterThan(0);
}

const REASONS: Readonly<Record<Manner, RegExp>> = {
  throws: /thrown in a callback/,
  loops: /did not return from/,
  exits: /exit/,
  fillsHeap: /memory|heap/,
};

/** After the teardown: failures for what brings a device up, a return for what has no result, accesses as of an empty slot. */
function expectLateCallsRefused({ late }: HostileOutcome): void {
  const [initialize, teardown, configure, details, start, stop, ...accesses] = late;
  expect([initialize, configure, details, start]).toEqual([E_FAIL, E_FAIL, E_FAIL, E_FAIL]);
  expect([teardown, stop]).toEqual([0, 0]);
  expect(accesses).toEqual([0, 0, 0, 0]);
}
