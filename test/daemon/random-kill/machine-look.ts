import { readdirSync, readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { MACHINE_VARIABLE } from '../../../src/engines/qemu/qemu-process.ts';
import { QmpClient } from '../../../src/engines/qemu/qmp.ts';
import type { Life } from './machine-model.ts';

/** A process of a machine. */
export interface MachineProcess {
  readonly pid: number;
  /** Folder of its machine. */
  readonly folder: string;
  /** Its system; undefined for a program beside QEMU. */
  readonly id: string | undefined;
}

/** What QEMU says of a machine. */
export interface QemuView {
  readonly status: string;
  /** Disks by device, and what they stand on. */
  readonly disks: readonly number[];
  readonly nodes: readonly number[];
  readonly hasAdapter: boolean;
  readonly hasNetwork: boolean;
}

/** Status of QEMU in each state. */
export const STATUS: Readonly<Record<Life, readonly string[]>> = {
  absent: [],
  Ended: [],
  // One that was given the state that it goes on from is paused until it runs.
  Created: ['prelaunch', 'inmigrate', 'paused'],
  Running: ['running'],
  Paused: ['paused', 'postmigrate'],
};

/** Processes that run for machines whose folders are in a folder. */
export function machineProcesses(machines: string): readonly MachineProcess[] {
  const mark = `${MACHINE_VARIABLE}=${machines}/`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const variables = readFileSync(`/proc/${name}/environ`, 'utf8').split('\0');
        const variable = variables.find((one) => one.startsWith(mark));
        if (variable === undefined) return [];
        const folder = variable.slice(MACHINE_VARIABLE.length + 1);
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8');
        return [{ pid: Number(name), folder, id: /guest=([^,]+),/.exec(command)?.[1] }];
      } catch {
        return []; // It has ended, or is another user's.
      }
    });
}

interface Named {
  readonly name?: string;
  readonly 'node-name'?: string;
  readonly qdev?: string;
}

/** Asks QEMU, which nobody else controls now. */
export async function viewOf(folder: string): Promise<QemuView> {
  const qmp = await QmpClient.open(createConnection(join(folder, 'qmp')));
  try {
    const ask = async <T>(command: string, args?: Record<string, unknown>): Promise<T> =>
      (await qmp.execute(command, args)) as T;
    const { status } = await ask<{ readonly status: string }>('query-status');
    const devices = await ask<readonly Named[]>('qom-list', { path: '/machine/peripheral' });
    const nodes = await ask<readonly Named[]>('query-named-block-nodes');
    const objects = await ask<string>('human-monitor-command', { 'command-line': 'info network' });
    const numbers = (names: readonly (string | undefined)[]): number[] =>
      names
        .flatMap((name = '') => /^disk0-(\d+)$/.exec(name)?.[1] ?? [])
        .map(Number)
        .sort();
    return {
      status,
      disks: numbers(devices.map(({ name }) => name)),
      nodes: numbers(nodes.map((node) => node['node-name'])),
      hasAdapter: devices.some(({ name = '' }) => name.startsWith('net-')),
      hasNetwork: objects.includes('net-of-'),
    };
  } finally {
    qmp.close();
  }
}
