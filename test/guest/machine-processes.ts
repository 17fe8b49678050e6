import { readdirSync, readFileSync } from 'node:fs';

/** Ids of the processes that run the machine of a system. */
export function processesOf(systemId: string): readonly number[] {
  return processes((id) => textOf(id, 'cmdline').includes(`guest=${systemId},`));
}

/** The machine's own folder: where its control socket is. */
export function folderOf(systemId: string): string {
  const [pid = Number.NaN] = processesOf(systemId);
  return /(?:^|\0)HDVKIT_MACHINE=([^\0]*)/.exec(textOf(pid, 'environ'))?.[1] ?? '';
}

/** Ids of the processes beside QEMU that are part of the machine of a system, of a program. */
export function programsOf(systemId: string, program: string): readonly number[] {
  const mark = `HDVKIT_MACHINE=${folderOf(systemId)}\0`;
  return processes(
    (id) => textOf(id, 'environ').includes(mark) && textOf(id, 'cmdline').includes(program),
  );
}

/** A line of /proc/PID/status. */
export function statusOf(pid: number, field: string): string {
  return new RegExp(`^${field}:[ \\t]*(.*?) *$`, 'm').exec(textOf(pid, 'status'))?.[1] ?? 'missing';
}

/** Ids of the processes of this computer that have something; those that end meanwhile have not. */
export function processes(has: (id: number) => boolean): readonly number[] {
  const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return ids.map(Number).filter((id) => {
    try {
      return has(id);
    } catch {
      return false; // It has ended.
    }
  });
}

function textOf(pid: number, file: 'cmdline' | 'environ' | 'status'): string {
  return readFileSync(`/proc/${pid}/${file}`, 'utf8');
}
