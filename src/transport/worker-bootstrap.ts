import type { BootstrapTask } from './worker-context.ts';

/**
 * What a pool runs in each worker: loads the entry module that the task names. Pools load this file as CommonJS when
 * they can, which is why it imports nothing at first: the rest must come from the one module graph that device files share.
 */
export default async function bootstrap(task: BootstrapTask): Promise<void> {
  const { ControlBlock } = await import('./control-block.ts');
  new ControlBlock(task.control).begin();
  const { run } = await load(task.entry);
  await run(task);
}

async function load(
  entry: string,
): Promise<{ readonly run: (task: BootstrapTask) => Promise<void> }> {
  try {
    return await import(entry);
  } catch (error) {
    // Thrown anew: errors of module hooks come from another thread and are not cloned as errors.
    throw new Error(`Cannot load the worker entry ${entry}: ${(error as Error).message}`);
  }
}
