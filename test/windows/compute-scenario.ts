/**
 * Programs that use computecore.dll and end, or do not: `compute-scenario NAME`. Each prints a line for what it saw; a
 * test starts them and looks at the lines and at how they ended.
 */
import { isMainThread, Worker } from 'node:worker_threads';
import { HCS_EVENT_TYPE, INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION } from '../../src/hcs/core/handles.ts';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { workerExecArgv } from '../../src/transport/typescript-loader.ts';
import { ComputeRig, DOCUMENT } from './compute-rig.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const DELAY_MS = 300;

async function slowCreation(rig: ComputeRig): Promise<HCS_OPERATION> {
  rig.standIns.delay('HcsCreateComputeSystem', DELAY_MS, { id: 'vm' });
  const operation = rig.core.HcsCreateOperation(null, () => say('completed'));
  rig.core.HcsCreateComputeSystem('vm', DOCUMENT, operation, null);
  return operation;
}

const SCENARIOS: Readonly<Record<string, (rig: ComputeRig) => Promise<void>>> = {
  /** Nothing but an operation in flight with a callback. */
  async operation(rig) {
    await slowCreation(rig);
  },

  /** The same, closed: nobody will hear of it. */
  async closedOperation(rig) {
    rig.core.HcsCloseOperation(await slowCreation(rig));
  },

  /** Nothing but a wait. */
  async wait(rig) {
    rig.standIns.delay('HcsCreateComputeSystem', DELAY_MS, { id: 'vm' });
    const operation = rig.core.HcsCreateOperation(null, null);
    rig.core.HcsCreateComputeSystem('vm', DOCUMENT, operation, null);
    void rig.core.HcsWaitForOperationResult(operation, INFINITE).then(() => say('waited'));
  },

  /** Nothing but an event callback: the exit is still to come. */
  async events(rig) {
    const system = await rig.create('vm');
    rig.core.HcsSetComputeSystemCallback(system, 0, null, ({ Type }) => {
      if (Type === HCS_EVENT_TYPE.HcsEventSystemExited) say('exited');
    });
    rig.standIns.delay('HcsTerminateComputeSystem', DELAY_MS);
    const operation = rig.core.HcsCreateOperation(null, null);
    rig.core.HcsTerminateComputeSystem(system, operation, null);
  },

  /** An event callback that is taken off, and a handle that stays open. */
  async quietHandle(rig) {
    const system = await rig.create('vm');
    rig.core.HcsSetComputeSystemCallback(system, 0, null, () => say('event'));
    rig.core.HcsSetComputeSystemCallback(system, 0, null, null);
  },

  /** A callback that throws. */
  async throwing(rig) {
    process.on('uncaughtException', (error) => say(`uncaught: ${error.message}`));
    const operation = rig.core.HcsCreateOperation(null, () => {
      throw new Error('not today');
    });
    rig.core.HcsCreateComputeSystem('vm', DOCUMENT, operation, null);
    await rig.core.HcsWaitForOperationResult(operation, INFINITE);
    const next = rig.core.HcsCreateOperation(null, () => say('completed'));
    rig.core.HcsEnumerateComputeSystems(null, next);
  },

  /** The process ends while calls are in flight, and callbacks would come. */
  async exit(rig) {
    await slowCreation(rig);
    const system = await rig.create('other');
    rig.core.HcsSetComputeSystemCallback(system, 0, null, () => {});
    void rig.core.HcsWaitForComputeSystemExit(system, INFINITE);
    say('leaves');
    process.exit(7);
  },

  /** Callbacks on a worker thread, and calls without one there. */
  async worker(rig) {
    if (isMainThread) {
      const worker = new Worker(new URL(import.meta.url), {
        argv: ['worker'],
        execArgv: workerExecArgv(false),
      });
      worker.on('error', (error) => say(`failed: ${error.message}`));
      return;
    }
    const refusal = (call: () => unknown): string => {
      try {
        call();
        return 'S_OK';
      } catch (error) {
        return error instanceof HcsError ? `${error.function} ${error.code}` : String(error);
      }
    };
    const { core } = rig;
    say(refusal(() => core.HcsCreateOperation(null, () => {})));
    say(refusal(() => core.HcsCreateOperationWithNotifications(1, null, () => {})));
    const operation = core.HcsCreateOperation(null, null);
    say(refusal(() => core.HcsSetOperationCallback(operation, null, () => {})));
    core.HcsCloseOperation(operation);
    const system = await rig.create('vm');
    say(refusal(() => core.HcsSetComputeSystemCallback(system, 0, null, () => {})));
    await rig.terminate(system);
    await core.HcsCloseComputeSystem(system);
    say('done');
  },
};

const name = process.argv[2] ?? '';
const scenario = SCENARIOS[name];
if (scenario === undefined) throw new RangeError(`Cannot play ${name}: there is no such scenario`);
await scenario(new ComputeRig());
