/**
 * A daemon (its arguments are those of hcsd) that is killed inside a call: KILL_AT is a {@link KillPoint} as JSON, and is
 * reached for the first time after the file KILL_ARMED has been made.
 */
import files, { existsSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { OperationTable } from '../../src/daemon/store/operation-table.ts';
import { ResourceTable } from '../../src/daemon/store/resource-table.ts';
import { SystemTable } from '../../src/daemon/store/system-table.ts';
import { QmpClient } from '../../src/engines/qemu/qmp.ts';

/** Before or after a function is called whose arguments as JSON have a text in them. */
export interface KillPoint {
  readonly when: 'before' | 'after';
  readonly what: keyof typeof PLACES;
  readonly with?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: functions of many kinds are replaced.
type Functions = Record<string, any>;

const PLACES = {
  /** A command to QEMU; after it is after QEMU's answer. */
  qmp: [QmpClient.prototype, 'execute'],
  rename: [promises, 'rename'],
  renameSync: [files, 'renameSync'],
  /** The journal has it that a call begins, or is over. */
  callBegins: [OperationTable.prototype, 'begin'],
  callEnds: [OperationTable.prototype, 'end'],
  owns: [ResourceTable.prototype, 'add'],
  systemChanges: [SystemTable.prototype, 'change'],
  systemGoes: [SystemTable.prototype, 'remove'],
} as const satisfies Readonly<Record<string, readonly [Functions, string]>>;

const { when, what, with: text = '' } = JSON.parse(process.env.KILL_AT!) as KillPoint;
const armed = process.env.KILL_ARMED!;

const [owner, name] = PLACES[what] as readonly [Functions, string];
const original = owner[name] as (...args: unknown[]) => unknown;
owner[name] = function replaced(this: unknown, ...args: unknown[]): unknown {
  const isHere = existsSync(armed) && JSON.stringify(args).includes(text);
  if (isHere && when === 'before') process.kill(process.pid, 'SIGKILL');
  const result = original.apply(this, args);
  if (!isHere) return result;
  // QEMU that quits may be gone before it answers.
  if (result instanceof Promise) return result.finally(() => process.kill(process.pid, 'SIGKILL'));
  return process.kill(process.pid, 'SIGKILL');
};
syncBuiltinESMExports();

await import('../../src/cli/hcsd/main.ts');
