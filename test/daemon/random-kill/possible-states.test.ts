import { expect, test } from 'vitest';
import type { Operation } from './machine-model.ts';
import { PossibleStates } from './possible-states.ts';

const CREATE: Operation = { kind: 'create', disks: [0], isHeld: false };

function made(): PossibleStates {
  const machine = new PossibleStates();
  expect(machine.end(machine.begin(CREATE, false), 'ok')).toBeUndefined();
  return machine;
}

const lives = (machine: PossibleStates): string[] => machine.states.map(({ life }) => life).sort();

test('a call that was answered has happened, and an answer that no order explains is found', () => {
  const machine = made();
  expect(lives(machine)).toEqual(['Created']);
  const start = machine.begin({ kind: 'start' }, false);
  expect(machine.end(start, 'HCS_E_SYSTEM_NOT_FOUND')).toEqual(['ok']);
  expect(machine.end(start, 'ok')).toBeUndefined();
  expect(lives(machine)).toEqual(['Running']);
  expect(machine.observe(({ life }) => life === 'Created')).toHaveLength(1);
});

test('calls at once take effect in whatever order explains their answers', () => {
  const machine = made();
  const start = machine.begin({ kind: 'start' }, false);
  const pause = machine.begin({ kind: 'pause' }, true);
  const look = machine.begin({ kind: 'look' }, false);
  expect(machine.end(look, 'Paused')).toBeUndefined();
  expect(machine.end(pause, 'HCS_E_INVALID_STATE')).toEqual(['ok']);
  expect(machine.end(pause, 'ok')).toBeUndefined();
  expect(machine.end(start, 'ok')).toBeUndefined();
  expect(lives(machine)).toEqual(['Paused']);
});

test('calls that were cut off have happened or not, and nothing in between', () => {
  const machine = made();
  machine.begin({ kind: 'addDisk', lun: 1 }, false);
  machine.begin({ kind: 'start' }, false);
  machine.cutOff();
  const found = machine.states.map(({ life, disks }) => `${life} ${disks}`).sort();
  expect(found).toEqual(['Created 0', 'Created 0,1', 'Running 0', 'Running 0,1']);
});

test('an end overtakes calls, and whoever had a handle may ask how it came', () => {
  const machine = made();
  const start = machine.begin({ kind: 'start' }, false);
  const end = machine.begin({ kind: 'terminate' }, false);
  expect(machine.end(end, 'ok')).toBeUndefined();
  expect(machine.end(start, 'HCS_E_TERMINATED_DURING_START')).toBeUndefined();
  expect(machine.states).toMatchObject([{ life: 'absent', exit: 'ForcedExit' }]);
});
