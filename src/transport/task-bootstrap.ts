import type { ThreadTask, ThreadTaskResult } from './task-thread.ts';

/**
 * What a {@link TaskThread} runs for each task. Pools load this file as CommonJS when they can, which is why it imports
 * nothing at first.
 */
export default async function runTask(task: ThreadTask): Promise<ThreadTaskResult> {
  const { ControlBlock } = await import('./control-block.ts');
  const { encodeError } = await import('./error-message.ts');
  const control = new ControlBlock(task.control);
  control.begin();
  try {
    const { run } = (await import(task.entry)) as { run: (argument: unknown) => unknown };
    return { value: await run(task.argument) };
  } catch (error) {
    return { error: encodeError(error) };
  } finally {
    control.release();
  }
}
