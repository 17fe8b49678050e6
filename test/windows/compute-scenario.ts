/**
 * Programs that use computecore.dll and end, or do not: `compute-scenario NAME`. Each prints a line for what it saw; a
 * test starts them and looks at the lines and at how they ended.
 */
import { isMainThread, Worker } from 'node:worker_threads';
import type { ComputeCore } from '../../src/hcs/compute-core.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { HCS_EVENT_TYPE, INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION } from '../../src/hcs/core/handles.ts';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { workerExecArgv } from '../../src/transport/typescript-loader.ts';
import { ComputeRig, DOCUMENT } from './compute-rig.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const DELAY_MS = 300;

async function heldCreation(rig: ComputeRig): Promise<HCS_OPERATION> {
  rig.standIns.hold('HcsCreateComputeSystem', { id: 'vm' });
  const operation = rig.core.HcsCreateOperation(null, () => say('completed'));
  rig.core.HcsCreateComputeSystem('vm', DOCUMENT, operation, null);
  return operation;
}

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

  /** One that never completes, closed: nobody will hear of it. */
  async closedOperation(rig) {
    rig.core.HcsCloseOperation(await heldCreation(rig));
  },

  /** An event callback of a handle that is closed. */
  async closedHandle(rig) {
    const system = await rig.create('vm');
    rig.core.HcsSetComputeSystemCallback(system, 0, null, () => say('event'));
    await rig.core.HcsCloseComputeSystem(system);
  },

  /** A wait that never ends, and the handle is closed. */
  async closedWait(rig) {
    const operation = rig.core.HcsCreateOperation(null, null);
    rig.standIns.hold('HcsCreateComputeSystem', { id: 'vm' });
    const system = rig.core.HcsCreateComputeSystem('vm', DOCUMENT, operation, null);
    void rig.core.HcsWaitForComputeSystemExit(system, INFINITE).catch(() => {});
    void rig.core.HcsWaitForOperationResult(operation, INFINITE).catch(() => {});
    rig.core.HcsCloseOperation(operation);
    await rig.core.HcsCloseComputeSystem(system);
  },

  /** Everything that a ComputeSystem does, and then nothing. */
  async object(rig) {
    const system = await ComputeSystem.create('vm', JSON.parse(DOCUMENT), { core: rig.core });
    await system.start();
    void system.exited.then(({ ExitType }) => say(String(ExitType)));
    await system[Symbol.asyncDispose]();
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
    await useObjects(core);
    say('done');
  },
};

/** What a ComputeSystem does on a thread without callbacks. */
async function useObjects(core: ComputeCore): Promise<void> {
  await using system = await ComputeSystem.create('object', JSON.parse(DOCUMENT), { core });
  await system.start();
  await system.pause();
  await system.resume();
  say(String((await system.properties()).State));
  try {
    for await (const event of system.events()) say(event.type);
  } catch (error) {
    say(error instanceof HcsError ? `events ${error.code}` : String(error));
  }
  const { exited } = system;
  await system.terminate();
  say(String((await exited).ExitType));
}

const name = process.argv[2] ?? '';
const scenario = SCENARIOS[name];
if (scenario === undefined) throw new RangeError(`Cannot play ${name}: there is no such scenario`);
await scenario(new ComputeRig());
