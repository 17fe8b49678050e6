import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { resourceFailure } from './resources/resource-failure.ts';

/** Microseconds over which the kernel counts (Linux, cgroup-v2.rst: cpu.max). */
const PERIOD_US = 100_000;
/** cpu.shares of version 1 that is a weight of 100 in version 2. */
const SHARES = 1024;
const USUAL_WEIGHT = 100;

/** Milliseconds that threads of a process that has ended may take. */
const RELEASE_LIMIT_MS = 1000;
const POLL_MS = 5;

/** Begins the name of a group, which goes on with the id of its process. */
const PREFIX = 'hdvkit-';

/** The control group that limits the processor time of one process, below that of this process. */
export class ProcessorCgroup {
  /** Folder of the group. */
  readonly path: string;
  readonly #version: 1 | 2;

  private constructor(path: string, version: 1 | 2) {
    this.path = path;
    this.#version = version;
  }

  /**
   * Makes the group and moves a process into it.
   * @param about is called with its folder before it is made
   * @throws HcsError ERROR_NOT_SUPPORTED with the reason where this process may not
   */
  static create(pid: number, about: (path: string) => void = () => {}): ProcessorCgroup {
    const { folder, version } = cpuController();
    removeDead(folder);
    const path = join(folder, `${PREFIX}${pid}`);
    about(path);
    try {
      mkdirSync(path, { recursive: true });
      // Processes of a group with controlled groups below it are refused (cgroup-v2.rst, No Internal Process Constraint).
      if (version === 2) writeFileSync(join(folder, 'cgroup.subtree_control'), '+cpu');
      writeFileSync(join(path, 'cgroup.procs'), String(pid));
    } catch (error) {
      isRemoved(path);
      throw notSupported(`"${folder}" cannot be used: ${(error as Error).message}`, error);
    }
    return new ProcessorCgroup(path, version);
  }

  /**
   * Sets the limits.
   * @param processors how much of the host's processors, 1 being one of them; undefined: no limit
   * @param weight beside other groups, 1 to 10,000; undefined: the usual 100
   */
  limit(processors: number | undefined, weight: number = USUAL_WEIGHT): void {
    // Less than a millisecond is refused.
    const quota =
      processors === undefined ? undefined : Math.max(1000, Math.round(processors * PERIOD_US));
    try {
      if (this.#version === 2) {
        this.#write('cpu.max', `${quota ?? 'max'} ${PERIOD_US}`);
        this.#write('cpu.weight', String(weight));
      } else {
        this.#write('cpu.cfs_period_us', String(PERIOD_US));
        this.#write('cpu.cfs_quota_us', String(quota ?? -1));
        this.#write(
          'cpu.shares',
          String(Math.max(2, Math.round((weight * SHARES) / USUAL_WEIGHT))),
        );
      }
    } catch (error) {
      throw notSupported((error as Error).message, error);
    }
  }

  /** Removes the group, whose process has ended. @returns whether it is no more */
  remove(): Promise<boolean> {
    return removeControlGroup(this.path);
  }

  #write(name: string, value: string): void {
    writeFileSync(join(this.path, name), value);
  }
}

/**
 * Removes a control group whose process has ended. Its other threads may be on their way out: the kernel keeps the group until
 * the last of them is gone.
 * @returns whether it is no more
 */
export async function removeControlGroup(path: string): Promise<boolean> {
  const limit = performance.now() + RELEASE_LIMIT_MS;
  while (!isRemoved(path)) {
    if (performance.now() > limit) return false;
    await delay(POLL_MS);
  }
  return true;
}

/**
 * Removes groups beside which this process would make one, and whose processes are no more: whoever made them was killed, and
 * nobody else knows of them. Never throws.
 */
export function removeDeadControlGroups(): void {
  try {
    removeDead(cpuController().folder);
  } catch {
    // There are none here.
  }
}

function removeDead(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length)) : Number.NaN;
    // The kernel keeps one that a process is in after all.
    if (Number.isInteger(pid) && !existsSync(`/proc/${pid}`)) isRemoved(join(folder, name));
  }
}

function isRemoved(path: string): boolean {
  try {
    rmdirSync(path);
  } catch {
    // It was not made, or its process is not quite gone.
  }
  return !existsSync(path);
}

/** The group of this process that the cpu controller is in. */
function cpuController(): { readonly folder: string; readonly version: 1 | 2 } {
  const own = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  for (const line of own) {
    const [, controllers = '', group = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (!controllers.split(',').includes('cpu')) continue;
    const mount = mounts.find(
      ([, , type, options = '']) => type === 'cgroup' && options.split(',').includes('cpu'),
    );
    if (mount?.[1] !== undefined) return { folder: join(mount[1], group), version: 1 };
  }
  const unified = own.find((line) => line.startsWith('0::'))?.slice(3);
  const mount = mounts.find(([, , type]) => type === 'cgroup2')?.[1];
  if (unified === undefined || mount === undefined) {
    throw notSupported('this system has no control group with the cpu controller');
  }
  return { folder: join(mount, unified), version: 2 };
}

function notSupported(reason: string, cause?: unknown): Error {
  return resourceFailure(
    'ERROR_NOT_SUPPORTED',
    `Cannot limit the processors of the machine: ${reason}; run as root, or in a control group that is delegated (systemd: Delegate=cpu)`,
    cause,
  );
}
