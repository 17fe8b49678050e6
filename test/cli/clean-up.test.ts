import { expect, test } from 'vitest';
import { CleanUp } from '../../src/cli/clean-up.ts';

test('any number of calls wait for the interruption, and nobody is warned of them', async () => {
  await using cleanUp = new CleanUp();
  const warnings: Error[] = [];
  const listen = (warning: Error): void => void warnings.push(warning);
  process.on('warning', listen);
  for (let call = 0; call < 100; call++) cleanUp.signal.addEventListener('abort', () => {});
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', listen);
  expect(warnings).toEqual([]);
});
