import { readdirSync, readFileSync } from 'node:fs';

/**
 * What one more worker may need, generously: 8 to 10 MiB and 70 mappings were measured for a module in JavaScript, 42
 * MiB, 12 descriptors and 245 mappings for one in TypeScript, whose worker has a compiler.
 */
const NEED = { memory: 64 << 20, descriptors: 16, mappings: 400 } as const;

/** Kept for everything else that the process does. */
const RESERVE = { memory: 64 << 20, descriptors: 32, mappings: 2000 } as const;

/** Workers below which mappings are not counted: that takes as long as there are many. */
const FEW_WORKERS = 32;

/** What is left in this process; a part that this system does not tell is absent. */
export interface WorkerRoom {
  /** Bytes that the machine, or the container, has left. */
  readonly memory?: number | undefined;
  /** Files that may still be opened. */
  readonly descriptors?: number | undefined;
  /** Mappings of memory that the kernel still allows. */
  readonly mappings?: number | undefined;
}

/**
 * Says why there is no room for another worker. Without this look, a process that starts too many of them is ended by
 * V8, Node or the kernel when it has no memory, descriptor or mapping left, and with it all that it serves.
 * @param running workers that are up
 * @param starting workers that have begun to start, and have not taken their share yet
 * @throws Error naming what is used up, how many workers there are, and the remedy
 */
export function requireWorkerRoom(
  running: number,
  starting: number,
  room = roomLeft(running),
): void {
  const count = running + starting;
  const lacking = (what: keyof typeof NEED): boolean => {
    const left = room[what];
    return left !== undefined && left < RESERVE[what] + NEED[what] * (starting + 1);
  };
  if (lacking('memory')) {
    const left = Math.floor(room.memory! / 2 ** 20);
    throw refusal(count, `only ${left} MiB of memory are left`, 'give the machine more memory');
  }
  if (lacking('descriptors')) {
    const reason = `only ${room.descriptors} more files may be opened`;
    throw refusal(count, reason, 'raise the limit of open files (ulimit -n)');
  }
  if (lacking('mappings')) {
    const reason = `only ${room.mappings} more mappings of memory are allowed`;
    throw refusal(count, reason, 'raise vm.max_map_count');
  }
}

/** The error for a thread that the system refused. */
export function noThread(count: number, cause: unknown): Error {
  return refusal(
    count,
    'the system gives this user no more threads',
    'raise its limit (ulimit -u)',
    {
      cause,
    },
  );
}

function refusal(count: number, reason: string, remedy: string, options?: ErrorOptions): Error {
  return new Error(
    `Cannot start a device worker beside ${count} others: ${reason}; let devices share a worker (option group), or ${remedy}`,
    options,
  );
}

function roomLeft(running: number): WorkerRoom {
  const memory = process.availableMemory();
  if (process.platform !== 'linux') return { memory };
  return {
    memory,
    descriptors: told(() => limitOf('Max open files') - readdirSync('/proc/self/fd').length),
    mappings:
      running < FEW_WORKERS
        ? undefined
        : told(() => Number(readFileSync('/proc/sys/vm/max_map_count', 'latin1')) - mappings()),
  };
}

function limitOf(name: string): number {
  const limits = readFileSync('/proc/self/limits', 'latin1');
  const line = limits.split('\n').find((one) => one.startsWith(name)) ?? '';
  const soft = line.slice(name.length).trim().split(/\s+/)[0];
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

function mappings(): number {
  return readFileSync('/proc/self/maps', 'latin1').split('\n').length;
}

/** Undefined where the system does not say. */
function told(ask: () => number): number | undefined {
  try {
    const answer = ask();
    return Number.isNaN(answer) ? undefined : answer;
  } catch {
    return undefined;
  }
}
