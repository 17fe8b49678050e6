import { expect, test } from 'vitest';
import { GENERIC_ALL, INFINITE } from '../../src/hcs/core/constants.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { vm } from '../compute/recording-engine.ts';
import { type CoreStep, describeComputeCore } from '../hcs/compute-core-conformance.ts';
import { InProcessDaemon } from './in-process.ts';

const STEPS: Readonly<Record<CoreStep, 'create' | 'start'>> = {
  HcsCreateComputeSystem: 'create',
  HcsStartComputeSystem: 'start',
};

describeComputeCore('the service of this package behind a socket', () => {
  const under = new InProcessDaemon();
  const { engine } = under;
  const machineOf = (id: string) => {
    const machine = engine.machines.find(({ request }) => request.id === id);
    if (machine === undefined) throw new Error(`There is no machine ${id}`);
    return machine;
  };
  return {
    core: under.core(),
    hold: (step) => engine.hold(STEPS[step]),
    failCreation: (_id, reason) => engine.failNext('create', new Error(reason)),
    crash(id) {
      const { request } = machineOf(id);
      request.notify({ type: 'crashed', document: '{"CrashLog":"panic"}' });
      request.exited({ exitType: 'UnexpectedExit', status: HRESULT.HCS_E_GUEST_CRITICAL_ERROR });
    },
    close: () => under.close(),
  };
});

test('a system can be opened, and is listed, from the moment that its creation has begun', async () => {
  const under = new InProcessDaemon();
  const core = under.core();
  const [creation, listing] = [
    core.HcsCreateOperation(null, null),
    core.HcsCreateOperation(null, null),
  ];
  core.HcsCreateComputeSystem('vm', JSON.stringify(vm()), creation, null);
  core.HcsEnumerateComputeSystems(null, listing);
  const found = core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  expect(await core.HcsWaitForOperationResult(listing, INFINITE)).toContain('"Id":"vm"');
  expect(await found).not.toBe(0n);
  await core.HcsWaitForOperationResult(creation, INFINITE);
  await under.close();
});
