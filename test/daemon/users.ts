import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

/** A user that needs no account, as root can be anybody. */
export interface TestUser {
  readonly id: number;
  /** Supplementary groups. */
  readonly groups?: readonly number[];
}

const LOADER = ['--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source'];

/**
 * Starts a program of this package, from its source, as another user.
 * @param folder where it may write
 */
export function startAs(
  { id, groups = [] }: TestUser,
  folder: string,
  args: readonly string[],
): ChildProcessWithoutNullStreams {
  const member = groups.length === 0 ? '--clear-groups' : `--groups=${groups.join(',')}`;
  return spawn(
    'setpriv',
    [`--reuid=${id}`, `--regid=${id}`, member, process.execPath, ...LOADER, ...args],
    { cwd: '/', env: { PATH: process.env.PATH, HOME: folder, TMPDIR: folder } },
  );
}
