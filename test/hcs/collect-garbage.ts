import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects garbage, turn by turn of the event loop, until something is so. */
export async function collectUntil(isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    collect();
    await new Promise(setImmediate);
  }
}

/** Collects all garbage several times over, so that what can be found by it has been found. */
export async function collectGarbage(): Promise<void> {
  let turns = 0;
  await collectUntil(() => ++turns > 10);
}

/** The warnings of this process while it does something. */
export async function warningsDuring(work: () => Promise<void>): Promise<readonly string[]> {
  const warnings: string[] = [];
  const listen = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', listen);
  try {
    await work();
    await new Promise(setImmediate);
  } finally {
    process.off('warning', listen);
  }
  return warnings;
}
