/** What the tests of {@link TaskThread} run on its thread. */
import { threadId } from 'node:worker_threads';

let tasks = 0;

/** Counts the tasks of its thread, or throws what it is told to. */
export function run(argument: unknown): { readonly threadId: number; readonly tasks: number } {
  tasks++;
  if (typeof argument === 'string') {
    throw Object.assign(new RangeError(argument), { hresult: 0x8007_0057 });
  }
  return { threadId, tasks };
}
