import type { ProcessIdentity } from '../../provision/process-identity.ts';
import type { PluggedDevice } from './device-slots.ts';
import type { LastSaveRecord } from './last-save.ts';
import type { Cause } from './machine-exit.ts';
import type { MachinePlan } from './machine-plan.ts';
import type { RestoreSource, Template } from './restore.ts';
import type { Make } from './save.ts';
import type { SideProcessRecords } from './side-processes.ts';
import type { VmAccount } from './vm-account.ts';

/** Version of {@link EngineRecord}; another one is not understood. */
export const RECORD_VERSION = 1;

/** A machine as it is found again when its owner is no more: a plain object, which goes through JSON. */
export interface EngineRecord {
  readonly version: typeof RECORD_VERSION;
  readonly process: ProcessIdentity;
  /** Folder of its sockets and files. */
  readonly folder: string;
  /** As whom it runs, where it has an account of its own. */
  readonly account?: VmAccount | undefined;
  readonly make: Pick<Make, 'qemu' | 'accelerator' | 'processor' | 'memory'>;
  readonly plan: MachinePlan;
  /** Root ports by what is behind them. */
  readonly ports: Readonly<Record<string, number>>;
  readonly isClone: boolean;
  /** Sockets that QEMU has made outside its folder. */
  readonly ownSockets: readonly string[];
  /** FlexibleIov devices. */
  readonly devices: readonly PluggedDevice[];
  /** Programs beside QEMU, by their devices. */
  readonly sides: SideProcessRecords;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly hasStarted: boolean;
  readonly needsReset: boolean;
  /** Why it ends, once that is known. */
  readonly cause?: Cause;
  /** What it goes on from when it starts, or went on from. */
  readonly source?: RestoreSource | undefined;
  /** What its clones go on from, when it was saved as a template. */
  readonly template?: Template | undefined;
  /** What it was saved to since it was paused, or is being saved to. */
  readonly lastSave?: LastSaveRecord;
}

/**
 * Reads a record that went through JSON.
 * @throws Error for one of another version
 */
export function readEngineRecord(value: unknown): EngineRecord {
  const record = value as EngineRecord | null | undefined;
  if (record?.version !== RECORD_VERSION) {
    throw new Error(
      `Cannot take the machine over: its record is of version ${record?.version}, not ${RECORD_VERSION}; have the program that started it end it`,
    );
  }
  // JSON has null where nothing is connected.
  const comPorts = record.plan.comPorts.map((path) => path ?? undefined);
  return { ...record, plan: { ...record.plan, comPorts } };
}
