import { constants } from 'node:os';

const names = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) {
  if (!names.has(number)) names.set(number, name);
}

/** The name of an errno number (`EINVAL`), or `errno 4711`. */
export function errnoName(number: number): string {
  return names.get(number) ?? `errno ${number}`;
}

/** A system call that failed. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  /** The call (`connect`). */
  readonly syscall: string;
  readonly errno: number;
  /** The errno's name (`ECONNREFUSED`). */
  readonly code: string;

  constructor(syscall: string, errno: number, subject?: string) {
    super(
      `Cannot ${syscall}${subject === undefined ? '' : ` ${subject}`}: ${errnoName(errno)} (${errno})`,
    );
    this.syscall = syscall;
    this.errno = errno;
    this.code = errnoName(errno);
  }
}
