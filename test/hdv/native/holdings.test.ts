import { expect, test } from 'vitest';
import {
  HOLDING_KINDS,
  type HoldingChange,
  LeftHoldings,
  ReportedHoldings,
} from '../../../src/hdv/native/holdings.ts';

/** A thread, the one that survives it, and what the latter gives back. */
function pair(): {
  readonly holdings: ReportedHoldings;
  readonly left: LeftHoldings;
  release(isHostAlive: boolean): string[];
} {
  const left = new LeftHoldings();
  const holdings = new ReportedHoldings((change) => left.note(change));
  return {
    holdings,
    left,
    release(isHostAlive) {
      const calls: string[] = [];
      const call =
        (name: string) =>
        (id: unknown): number =>
          calls.push(`${name} ${id}`);
      const system = {
        CloseHandle: call('CloseHandle'),
        UnmapViewOfFile: call('UnmapViewOfFile'),
        UnregisterWaitEx: call('UnregisterWaitEx'),
        VirtualFree: call('VirtualFree'),
      } as unknown as Parameters<LeftHoldings['release']>[0];
      left.release(system, isHostAlive ? call('unmap') : undefined);
      return calls;
    },
  };
}

test('what a thread has not given back is given back for it, waits before their events', () => {
  const { holdings, release } = pair();
  for (const [id, kind] of [...HOLDING_KINDS].reverse().entries()) holdings.took(kind, 10 + id);
  expect(release(true)).toEqual([
    'UnregisterWaitEx 15',
    'CloseHandle 14',
    'CloseHandle 13',
    'UnmapViewOfFile 12',
    'unmap 11',
    'VirtualFree 10',
  ]);
  expect(release(true)).toEqual([]);
});

test('what it has given back is left alone, also when its number is used again', () => {
  const { holdings, release } = pair();
  holdings.took('event', 7);
  holdings.took('section', 8);
  expect(holdings.returns('event', 7)).toBe(true);
  holdings.took('section', 7);
  expect(holdings.returns('section', 8)).toBe(true);
  expect(release(true)).toEqual(['CloseHandle 7']);
});

test('mappings are not undone once their device host is gone', () => {
  const { holdings, release } = pair();
  holdings.took('aperture', 0x1000);
  holdings.took('pages', 0x2000);
  expect(release(false)).toEqual(['VirtualFree 8192']);
});

test('a thread that has reported for the last time gives nothing back by itself', () => {
  const changes: HoldingChange[] = [];
  const holdings = new ReportedHoldings((change) => changes.push(change));
  holdings.took('pages', 1);
  holdings.close();
  expect(holdings.returns('pages', 1)).toBe(false);
  holdings.took('pages', 2);
  expect(changes).toEqual([{ kind: 'pages', id: 1, isHeld: true }]);
});
