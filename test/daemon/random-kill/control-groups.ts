import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** Where version 1 of control groups has processor time. */
const CPU = '/sys/fs/cgroup/cpu';

/**
 * The control groups of machines: below a group of the test's own, where that can be made, so that those of other
 * daemons are not among them. Otherwise processors are not limited at all.
 */
export class ControlGroups {
  /** Folder of the group; undefined: machines get none. */
  readonly folder: string | undefined;

  constructor(name: string) {
    const folder = join(CPU, name);
    try {
      if (existsSync(join(CPU, 'cpu.cfs_quota_us')) || existsSync(join(CPU, 'cgroup.procs'))) {
        mkdirSync(folder);
        this.folder = folder;
      }
    } catch {
      // Only root may.
    }
  }

  /** Puts a process into the group. */
  add(pid: number): void {
    if (this.folder !== undefined) writeFileSync(join(this.folder, 'cgroup.procs'), String(pid));
  }

  /** Processes that have, or had, a group. */
  get pids(): readonly number[] {
    if (this.folder === undefined) return [];
    return readdirSync(this.folder)
      .flatMap((name) => /^hdvkit-(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number);
  }

  /** Microseconds in 100,000 that a process may use; -1: all. */
  quota(pid: number): number {
    try {
      return Number(readFileSync(join(this.folder!, `hdvkit-${pid}`, 'cpu.cfs_quota_us'), 'utf8'));
    } catch {
      return -1;
    }
  }

  close(): void {
    if (this.folder === undefined) return;
    for (const pid of this.pids) rmdirSync(join(this.folder, `hdvkit-${pid}`));
    rmdirSync(this.folder);
  }
}
