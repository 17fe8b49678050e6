import { expect, test } from 'vitest';
import { CleanUp } from '../../src/cli/clean-up.ts';
import type { MachineOutput } from '../../src/cli/vm/machine-output.ts';
import { RunningMachine } from '../../src/cli/vm/running-machine.ts';
import type { ComputeSystem } from '../../src/hcs/compute-system.ts';
import type { HostBinding } from '../../src/hosts/host.ts';

/** Shuts a machine down whose host refuses to ask its guest. @returns what is said, and whether it was terminated */
async function shutDown(state: string): Promise<{ said: string[]; terminated: boolean }> {
  await using cleanUp = new CleanUp();
  const said: string[] = [];
  let terminated = false;
  const system = {
    shutDown: () => Promise.reject(new Error('the service is stopped')),
    properties: async () => ({ State: state }),
    terminate: async () => {
      terminated = true;
    },
    exited: Promise.resolve({}),
  } as unknown as ComputeSystem;
  const output = { remark: (text: string) => said.push(text) } as unknown as MachineOutput;
  await new RunningMachine(system, {} as HostBinding, cleanUp, output, 1000).shutDown();
  return { said, terminated };
}

test('a machine that a save has paused is terminated, and that is said as the reason', async () => {
  expect(await shutDown('Paused')).toEqual({
    said: [
      'Terminating the machine, as it cannot be shut down: it is paused, by a save that was not finished or by pause',
    ],
    terminated: true,
  });
});

test('a machine that runs is terminated with the reason of its host', async () => {
  expect((await shutDown('Running')).said).toEqual([
    'Terminating the machine, as it cannot be shut down: the service is stopped',
  ]);
});
