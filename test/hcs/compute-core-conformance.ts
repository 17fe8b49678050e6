// Longer than most files: one suite that every compute core runs.
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ComputeCore } from '../../src/hcs/compute-core.ts';
import {
  GENERIC_ALL,
  HCS_CREATE_OPTIONS_VERSION_1,
  HCS_EVENT_OPTIONS,
  HCS_EVENT_TYPE,
  HCS_INVALID_OPERATION_ID,
  HCS_OPERATION_TYPE,
  INFINITE,
} from '../../src/hcs/core/constants.ts';
import type { HCS_EVENT, HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf, errorOf } from '../compute/recording-engine.ts';

/** The steps that a test can hold back or let fail. */
export type CoreStep = 'HcsCreateComputeSystem' | 'HcsStartComputeSystem';

/** A compute core, and what tests do behind its back. */
export interface CoreUnderTest {
  readonly core: ComputeCore;
  /** Holds the completion of a step of one system, until the function that it returns is called. */
  hold(step: CoreStep, id: string): () => void;
  /** Lets the creation of a system fail with E_FAIL after its handle was returned. */
  failCreation(id: string, reason: string): void;
  /** The guest of a running system crashes, and the system ends by that. */
  crash(id: string): void;
  /** Checks what is left of a test. */
  check?(id: string): void;
  close(): Promise<void>;
}

/** Turns of the event loop, until something is so; the limit is the test's own. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Turns enough for a callback that must not come to come. */
async function aWhile(): Promise<void> {
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** What holds for the functions of the contract, whoever answers them. */
export function describeComputeCore(name: string, open: () => CoreUnderTest): void {
  describe(`the compute core of ${name}`, () => {
    let under: CoreUnderTest;
    let core: ComputeCore;
    let id: string;

    beforeAll(() => {
      under = open();
      core = under.core;
    });

    afterAll(async () => {
      await under?.close();
    });

    beforeEach(() => {
      id = `system ${randomUUID()}`;
    });

    afterEach(() => {
      under.check?.(id);
    });

    const document = (fields: object = {}): string =>
      JSON.stringify({
        Owner: 'Conformance',
        SchemaVersion: { Major: 2, Minor: 1 },
        VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 } } },
        ...fields,
      });

    async function run(start: (operation: HCS_OPERATION) => void): Promise<string | null> {
      const operation = core.HcsCreateOperation(null, null);
      try {
        start(operation);
        return await core.HcsWaitForOperationResult(operation, INFINITE);
      } finally {
        core.HcsCloseOperation(operation);
      }
    }

    async function create(text = document()): Promise<HCS_SYSTEM> {
      let system = 0n as HCS_SYSTEM;
      await run((operation) => {
        system = core.HcsCreateComputeSystem(id, text, operation, null);
      });
      return system;
    }

    const start = (system: HCS_SYSTEM) =>
      run((operation) => core.HcsStartComputeSystem(system, operation, null));
    const terminate = (system: HCS_SYSTEM) =>
      run((operation) => core.HcsTerminateComputeSystem(system, operation, null));

    async function end(system: HCS_SYSTEM): Promise<void> {
      await terminate(system);
      await core.HcsCloseComputeSystem(system);
    }

    function listen(system: HCS_SYSTEM, options = 0): HCS_EVENT[] {
      const events: HCS_EVENT[] = [];
      core.HcsSetComputeSystemCallback(system, options, null, (event) => events.push(event));
      return events;
    }

    const resultCode = (operation: HCS_OPERATION) =>
      codeOf(() => core.HcsGetOperationResult(operation));

    async function enumerated(): Promise<readonly { readonly State?: string }[]> {
      const query = JSON.stringify({ Ids: [id] });
      return JSON.parse((await run((o) => core.HcsEnumerateComputeSystems(query, o))) ?? '[]');
    }

    describe('an operation', () => {
      test('has no type, result or system before its first call', async () => {
        const operation = core.HcsCreateOperation('context', null);
        expect(core.HcsGetOperationType(operation)).toBe(HCS_OPERATION_TYPE.HcsOperationTypeNone);
        expect(core.HcsGetComputeSystemFromOperation(operation)).toBe(0n);
        expect(core.HcsGetProcessFromOperation(operation)).toBe(0n);
        expect(core.HcsGetOperationContext(operation)).toBe('context');
        for (const call of [
          () => core.HcsGetOperationResult(operation),
          () => core.HcsWaitForOperationResult(operation, 0),
          () => core.HcsGetOperationResultAndProcessInfo(operation),
          () => core.HcsWaitForOperationResultAndProcessInfo(operation, 0),
          () => core.HcsGetOperationProperties(operation, null),
        ]) {
          expect(await codeOf(call)).toBe('HCS_E_OPERATION_NOT_STARTED');
        }
        core.HcsCloseOperation(operation);
      });

      test('is pending until the call has ended, and then has its result as often as asked', async () => {
        const release = under.hold('HcsCreateComputeSystem', id);
        const operation = core.HcsCreateOperation(null, null);
        const system = core.HcsCreateComputeSystem(id, document(), operation, null);
        const pending = await codeOf(() => core.HcsGetOperationResult(operation));
        expect(pending).toBe('HCS_E_OPERATION_PENDING');
        expect(core.HcsGetOperationType(operation)).toBe(HCS_OPERATION_TYPE.HcsOperationTypeCreate);
        expect(core.HcsGetComputeSystemFromOperation(operation)).toBe(system);
        release();
        expect(await core.HcsWaitForOperationResult(operation, INFINITE)).toBeNull();
        expect(core.HcsGetOperationResult(operation)).toBeNull();
        expect(core.HcsGetOperationResult(operation)).toBeNull();
        core.HcsCloseOperation(operation);
        await end(system);
      });

      test('goes on after waits that timed out, with and without a callback', async () => {
        for (const callback of [null, () => {}]) {
          const release = under.hold('HcsCreateComputeSystem', id);
          const operation = core.HcsCreateOperation(null, callback);
          const system = core.HcsCreateComputeSystem(id, document(), operation, null);
          for (const timeout of [0, 1]) {
            const code = await codeOf(() => core.HcsWaitForOperationResult(operation, timeout));
            expect(code).toBe('HCS_E_OPERATION_TIMEOUT');
          }
          const wait = core.HcsWaitForOperationResult(operation, 0xffff_fffe);
          release();
          expect(await wait).toBeNull();
          expect(await core.HcsWaitForOperationResult(operation, 0)).toBeNull();
          core.HcsCloseOperation(operation);
          await end(system);
        }
      });

      test('is refused while a call is in flight, and can be used again afterwards', async () => {
        const release = under.hold('HcsCreateComputeSystem', id);
        const operation = core.HcsCreateOperation(null, null);
        const system = core.HcsCreateComputeSystem(id, document(), operation, null);
        const error = await errorOf(() => core.HcsStartComputeSystem(system, operation, null));
        expect(error.code).toBe('HCS_E_OPERATION_ALREADY_STARTED');
        expect(error.message).toContain('HcsCreateComputeSystem');
        release();
        await core.HcsWaitForOperationResult(operation, INFINITE);
        core.HcsStartComputeSystem(system, operation, null);
        await core.HcsWaitForOperationResult(operation, INFINITE);
        expect(core.HcsGetOperationType(operation)).toBe(HCS_OPERATION_TYPE.HcsOperationTypeStart);
        core.HcsGetComputeSystemProperties(system, operation, null);
        const properties = await core.HcsWaitForOperationResult(operation, INFINITE);
        expect(JSON.parse(properties ?? '')).toMatchObject({ Id: id, State: 'Running' });
        core.HcsCloseOperation(operation);
        await end(system);
      });

      test('calls back once on a later turn, with the result at hand, and may be closed there', async () => {
        const calls: unknown[] = [];
        const operation = core.HcsCreateOperation('old', (done, context) => {
          const from = core.HcsGetComputeSystemFromOperation(done);
          calls.push(done, context, core.HcsGetOperationResult(done), from);
          core.HcsCloseOperation(done);
        });
        const system = core.HcsCreateComputeSystem(id, document(), operation, null);
        core.HcsSetOperationContext(operation, 'new');
        expect(calls).toEqual([]);
        await until(() => calls.length > 0);
        await aWhile();
        expect(calls).toEqual([operation, 'new', null, system]);
        await end(system);
      });

      test('can be waited on and call back for the same call, the callback first', async () => {
        const order: string[] = [];
        const operation = core.HcsCreateOperation(null, () => order.push('callback'));
        const system = core.HcsCreateComputeSystem(id, document(), operation, null);
        await core.HcsWaitForOperationResult(operation, INFINITE);
        order.push('waited');
        expect(order).toEqual(['callback', 'waited']);
        core.HcsCloseOperation(operation);
        await end(system);
      });

      test('calls back before a wait ends that began after the result was there', async () => {
        const order: string[] = [];
        const operation = core.HcsCreateOperation(null, () => order.push('callback'));
        core.HcsEnumerateComputeSystems(null, operation);
        // As soon as it is there; an answer from elsewhere needs turns of the event loop to come.
        for (let looks = 1; (await resultCode(operation)) !== 'S_OK'; looks++) {
          if (looks % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        await core.HcsWaitForOperationResult(operation, INFINITE);
        order.push('waited');
        expect(order).toEqual(['callback', 'waited']);
        core.HcsCloseOperation(operation);
      });

      test('does not call back for a call that was refused, and keeps its document', async () => {
        const calls: string[] = [];
        const operation = core.HcsCreateOperation(null, () => calls.push('callback'));
        const refuse = () => core.HcsCreateComputeSystem(id, '{', operation, null);
        const refused = await errorOf(refuse);
        expect([refused.function, refused.code]).toEqual([
          'HcsCreateComputeSystem',
          'HCS_E_INVALID_JSON',
        ]);
        expect(refused.document).toContain('ErrorMessage');
        const kept = await errorOf(() => core.HcsGetOperationResult(operation));
        expect(kept.document).toBe(refused.document);
        const waited = await codeOf(() => core.HcsWaitForOperationResult(operation, INFINITE));
        expect(waited).toBe('HCS_E_INVALID_JSON');
        await aWhile();
        expect(calls).toEqual([]);
        core.HcsCloseOperation(operation);
      });

      test('drops the result when it is closed in flight, and the call goes on', async () => {
        for (const isWaited of [true, false]) {
          for (const hasCallback of [true, false]) {
            const release = under.hold('HcsCreateComputeSystem', id);
            const calls: string[] = [];
            const callback = hasCallback ? () => void calls.push('callback') : null;
            const operation = core.HcsCreateOperation(null, callback);
            const system = core.HcsCreateComputeSystem(id, document(), operation, null);
            const wait = isWaited
              ? codeOf(() => core.HcsWaitForOperationResult(operation, INFINITE))
              : Promise.resolve('ERROR_INVALID_HANDLE');
            await aWhile();
            core.HcsCloseOperation(operation);
            expect(await wait).toBe('ERROR_INVALID_HANDLE');
            release();
            await start(system);
            await aWhile();
            expect(calls).toEqual([]);
            expect(await enumerated()).toMatchObject([{ State: 'Running' }]);
            await end(system);
          }
        }
      });

      test('has no process information for calls without a process', async () => {
        const operation = core.HcsCreateOperation(null, null);
        const system = core.HcsCreateComputeSystem(id, document(), operation, null);
        await core.HcsWaitForOperationResult(operation, INFINITE);
        for (const call of [
          () => core.HcsGetOperationResultAndProcessInfo(operation),
          () => core.HcsWaitForOperationResultAndProcessInfo(operation, INFINITE),
        ]) {
          const error = await errorOf(call);
          expect([error.code, error.function]).toEqual([
            'E_INVALIDARG',
            expect.stringMatching(/AndProcessInfo$/),
          ]);
        }
        core.HcsCloseOperation(operation);
        await end(system);
      });

      test('excludes its callback where completions are events of the system handle', async () => {
        const system = await create();
        const options = HCS_EVENT_OPTIONS.HcsEventOptionEnableOperationCallbacks;
        const events = listen(system, options);
        const callback = core.HcsCreateOperation(null, () => {});
        const error = await errorOf(() => core.HcsStartComputeSystem(system, callback, null));
        expect(error.code).toBe('HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET');
        expect(error.message).toContain('without a callback');
        const operation = core.HcsCreateOperation(null, null);
        core.HcsStartComputeSystem(system, operation, null);
        await core.HcsWaitForOperationResult(operation, INFINITE);
        await until(() => events.length > 0);
        expect(events).toEqual([
          {
            Type: HCS_EVENT_TYPE.HcsEventOperationCallback,
            EventData: null,
            Operation: operation,
          },
        ]);
        core.HcsCloseOperation(callback);
        core.HcsCloseOperation(operation);
        await end(system);
      });

      test('changes its callback only while no call is in flight', async () => {
        const release = under.hold('HcsCreateComputeSystem', id);
        const calls: unknown[] = [];
        const operation = core.HcsCreateOperation(null, null);
        core.HcsSetOperationCallback(operation, 'context', (_done, context) => calls.push(context));
        const system = core.HcsCreateComputeSystem(id, document(), operation, null);
        const change = () => core.HcsSetOperationCallback(operation, null, () => {});
        expect(await codeOf(change)).toBe('HCS_E_OPERATION_ALREADY_STARTED');
        release();
        await core.HcsWaitForOperationResult(operation, INFINITE);
        expect(calls).toEqual(['context']);
        core.HcsCloseOperation(operation);
        await end(system);
      });

      test('may be given its next callback, and its next call, inside its callback', async () => {
        const calls: string[] = [];
        const operation = core.HcsCreateOperation(null, (done) => {
          calls.push('first');
          core.HcsSetOperationCallback(done, null, () => calls.push('second'));
          core.HcsStartComputeSystem(system, done, null);
        });
        const system = core.HcsCreateComputeSystem(id, document(), operation, null);
        await until(() => calls.includes('second'));
        await aWhile();
        expect(calls).toEqual(['first', 'second']);
        core.HcsCloseOperation(operation);
        await end(system);
      });

      test('refuses a callback that is no function', async () => {
        const wrong = 'callback' as never;
        expect(await codeOf(() => core.HcsCreateOperation(null, wrong))).toBe('E_INVALIDARG');
        const withNotifications = () =>
          core.HcsCreateOperationWithNotifications(1, null, null as never);
        expect(await codeOf(withNotifications)).toBe('E_INVALIDARG');
      });

      test('is closed once, and unknown to every function afterwards', async () => {
        const system = await create();
        const operation = core.HcsCreateOperation(null, null);
        const other = core.HcsCreateOperation(null, null);
        expect(core.HcsGetOperationId(operation)).not.toBe(core.HcsGetOperationId(other));
        core.HcsCloseOperation(operation);
        const calls: Record<string, () => unknown> = {
          close: () => core.HcsCloseOperation(operation),
          context: () => core.HcsGetOperationContext(operation),
          setContext: () => core.HcsSetOperationContext(operation, 1),
          setCallback: () => core.HcsSetOperationCallback(operation, 1, () => {}),
          system: () => core.HcsGetComputeSystemFromOperation(operation),
          process: () => core.HcsGetProcessFromOperation(operation),
          type: () => core.HcsGetOperationType(operation),
          result: () => core.HcsGetOperationResult(operation),
          resultAndInfo: () => core.HcsGetOperationResultAndProcessInfo(operation),
          wait: () => core.HcsWaitForOperationResult(operation, 0),
          waitAndInfo: () => core.HcsWaitForOperationResultAndProcessInfo(operation, 0),
          cancel: () => core.HcsCancelOperation(operation),
          properties: () => core.HcsGetOperationProperties(operation, null),
          resource: () => core.HcsAddResourceToOperation(operation, 4, '', 0n),
          start: () => core.HcsStartComputeSystem(system, operation, null),
          create: () => core.HcsCreateComputeSystem(`${id} 2`, document(), operation, null),
          enumerate: () => core.HcsEnumerateComputeSystems(null, 0n as HCS_OPERATION),
        };
        for (const [call, make] of Object.entries(calls)) {
          const error = await errorOf(make);
          expect([call, error.code, error.function]).toEqual([
            call,
            'ERROR_INVALID_HANDLE',
            expect.stringMatching(/^Hcs/),
          ]);
        }
        expect(core.HcsGetOperationId(operation)).toBe(HCS_INVALID_OPERATION_ID);
        core.HcsCloseOperation(other);
        await end(system);
      });
    });

    describe('a handle of a system', () => {
      test('is returned while creation is pending, and must be closed when creation fails', async () => {
        const release = under.hold('HcsCreateComputeSystem', id);
        under.failCreation(id, 'no such kernel');
        const operation = core.HcsCreateOperation(null, null);
        const system = core.HcsCreateComputeSystem(id, document(), operation, null);
        expect(system).not.toBe(0n);
        release();
        const error = await errorOf(() => core.HcsWaitForOperationResult(operation, INFINITE));
        expect([error.function, error.code, error.reason]).toEqual([
          'HcsCreateComputeSystem',
          'E_FAIL',
          'no such kernel',
        ]);
        core.HcsCloseOperation(operation);
        const open = () => core.HcsOpenComputeSystem(id, GENERIC_ALL);
        expect(await codeOf(open)).toBe('HCS_E_SYSTEM_NOT_FOUND');
        await core.HcsCloseComputeSystem(system);
        expect(await codeOf(() => core.HcsCloseComputeSystem(system))).toBe('ERROR_INVALID_HANDLE');
      });

      test('is closed once, and unknown to every function afterwards', async () => {
        const system = await create();
        const other = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
        await core.HcsCloseComputeSystem(system);
        const calls: Record<string, () => unknown> = {
          close: () => core.HcsCloseComputeSystem(system),
          start: () => start(system),
          shutDown: () => run((o) => core.HcsShutDownComputeSystem(system, o, null)),
          terminate: () => terminate(system),
          pause: () => run((o) => core.HcsPauseComputeSystem(system, o, null)),
          resume: () => run((o) => core.HcsResumeComputeSystem(system, o, null)),
          crash: () => run((o) => core.HcsCrashComputeSystem(system, o, null)),
          save: () => run((o) => core.HcsSaveComputeSystem(system, o, null)),
          properties: () => run((o) => core.HcsGetComputeSystemProperties(system, o, null)),
          modify: () => run((o) => core.HcsModifyComputeSystem(system, o, '{}', null)),
          wait: () => core.HcsWaitForComputeSystemExit(system, 0),
          callback: () => core.HcsSetComputeSystemCallback(system, 0, null, () => {}),
          migrate: () => run((o) => core.HcsStartLiveMigrationTransfer(system, o, null)),
          process: () => run((o) => core.HcsCreateProcess(system, '{}', o, null)),
          openProcess: () => core.HcsOpenProcess(system, 1, GENERIC_ALL),
        };
        for (const [call, make] of Object.entries(calls)) {
          expect([call, await codeOf(make)]).toEqual([call, 'ERROR_INVALID_HANDLE']);
        }
        await end(other);
      });

      test('can be closed without an end to the system, which can be opened again', async () => {
        const system = await create();
        await start(system);
        await core.HcsCloseComputeSystem(system);
        const again = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
        expect(await enumerated()).toMatchObject([{ State: 'Running' }]);
        await end(again);
      });

      test('ends the system where it is the last and the document says so', async () => {
        const first = await create(document({ ShouldTerminateOnLastHandleClosed: true }));
        const second = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
        await core.HcsCloseComputeSystem(first);
        expect(await enumerated()).toHaveLength(1);
        await core.HcsCloseComputeSystem(second);
        while ((await enumerated()).length > 0) await aWhile();
      });

      test('opens only what exists, with the reserved access', async () => {
        const system = await create();
        expect(await codeOf(() => core.HcsOpenComputeSystem(`${id} 2`, GENERIC_ALL))).toBe(
          'HCS_E_SYSTEM_NOT_FOUND',
        );
        expect(await codeOf(() => core.HcsOpenComputeSystem(id, 1))).toBe('E_INVALIDARG');
        const taken = () => run((o) => core.HcsCreateComputeSystem(id, document(), o, null));
        expect(await codeOf(taken)).toBe('HCS_E_SYSTEM_ALREADY_EXISTS');
        await end(system);
      });
    });

    describe('a save', () => {
      const paths = { SaveStateFilePath: '/saved.vmrs' };
      const save = (system: HCS_SYSTEM, options: object) =>
        run((o) => core.HcsSaveComputeSystem(system, o, JSON.stringify(options)));
      const pause = (system: HCS_SYSTEM) => run((o) => core.HcsPauseComputeSystem(system, o, null));
      const resume = (system: HCS_SYSTEM) =>
        run((o) => core.HcsResumeComputeSystem(system, o, null));

      test('is of a paused system, which stays paused and goes on', async () => {
        const system = await create();
        expect(await codeOf(() => save(system, paths))).toBe('HCS_E_INVALID_STATE');
        await start(system);
        expect(await codeOf(() => save(system, paths))).toBe('HCS_E_INVALID_STATE');
        await pause(system);
        await save(system, { SaveType: 'ToFile', ...paths });
        expect(await enumerated()).toMatchObject([{ State: 'Paused' }]);
        await save(system, paths);
        await resume(system);
        expect(await enumerated()).toMatchObject([{ State: 'Running' }]);
        await end(system);
      });

      test('as a template leaves a system that can only be terminated', async () => {
        const system = await create();
        await start(system);
        await pause(system);
        await save(system, { SaveType: 'AsTemplate' });
        expect(await enumerated()).toMatchObject([{ State: 'SavedAsTemplate' }]);
        for (const call of [start, pause, resume, (one: HCS_SYSTEM) => save(one, paths)]) {
          expect(await codeOf(() => call(system))).toBe('HCS_E_INVALID_STATE');
        }
        await end(system);
        expect(await enumerated()).toEqual([]);
      });
    });

    describe('an event', () => {
      test('of the exit comes to every handle, once, after the system was terminated', async () => {
        const system = await create();
        const other = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
        const [first, second] = [listen(system), listen(other)];
        await start(system);
        await terminate(other);
        await until(() => first.length > 0 && second.length > 0);
        await aWhile();
        expect(first).toEqual(second);
        expect(first.map(({ Type, Operation }) => [Type, Operation])).toEqual([
          [HCS_EVENT_TYPE.HcsEventSystemExited, 0n],
        ]);
        expect(JSON.parse(first[0]?.EventData ?? '')).toMatchObject({ ExitType: 'ForcedExit' });
        for (const handle of [system, other]) {
          const again = await codeOf(() => terminate(handle));
          expect(again).toBe('HCS_E_SYSTEM_ALREADY_STOPPED');
          await core.HcsCloseComputeSystem(handle);
        }
      });

      test('of a crash comes before the exit, as begun and as reported', async () => {
        const system = await create();
        const events = listen(system);
        await start(system);
        under.crash(id);
        await until(() => events.length > 2);
        expect(events.map(({ Type }) => Type)).toEqual([
          HCS_EVENT_TYPE.HcsEventSystemCrashInitiated,
          HCS_EVENT_TYPE.HcsEventSystemCrashReport,
          HCS_EVENT_TYPE.HcsEventSystemExited,
        ]);
        expect(JSON.parse(events[1]?.EventData ?? '')).toMatchObject({ SystemId: id });
        expect(JSON.parse(events[2]?.EventData ?? '')).toMatchObject({
          ExitType: 'UnexpectedExit',
        });
        await core.HcsCloseComputeSystem(system);
      });

      test('does not come once a handle is closed, even when it was on its way', async () => {
        const system = await create();
        const other = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
        const [events, others] = [listen(system), listen(other)];
        await start(system);
        const terminated = terminate(other);
        const closed = core.HcsCloseComputeSystem(system);
        await Promise.all([terminated, closed]);
        await until(() => others.length > 0);
        await aWhile();
        expect(events).toEqual([]);
        await core.HcsCloseComputeSystem(other);
      });

      test('has one callback per handle, which can be taken off and set again', async () => {
        const system = await create();
        const first = listen(system);
        const second = () => core.HcsSetComputeSystemCallback(system, 0, null, () => {});
        expect(await codeOf(second)).toBe('HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET');
        core.HcsSetComputeSystemCallback(system, 0, null, null);
        const third = listen(system);
        const wrong = () => core.HcsSetComputeSystemCallback(system, 0, null, 'callback' as never);
        expect(await codeOf(wrong)).toBe('E_INVALIDARG');
        await terminate(system);
        await until(() => third.length > 0);
        expect([first.length, third.length]).toEqual([0, 1]);
        await core.HcsCloseComputeSystem(system);
      });

      test('reaches a callback that was set at creation, with its context', async () => {
        const seen: unknown[] = [];
        let system = 0n as HCS_SYSTEM;
        await run((operation) => {
          system = core.HcsCreateComputeSystemInNamespace('space', id, document(), operation, {
            Version: HCS_CREATE_OPTIONS_VERSION_1,
            CallbackContext: 'context',
            Callback: (event, context) => seen.push([event.Type, context]),
          });
        });
        await terminate(system);
        await until(() => seen.length > 0);
        expect(seen).toEqual([[HCS_EVENT_TYPE.HcsEventSystemExited, 'context']]);
        await core.HcsCloseComputeSystem(system);
        const wrong = { Version: 1 } as never;
        const create = () =>
          run((o) => core.HcsCreateComputeSystemInNamespace('space', id, '{}', o, wrong));
        expect(await codeOf(create)).toBe('E_INVALIDARG');
      });

      test('may be the reason to look at the system, and to start calls', async () => {
        const system = await create();
        const states: unknown[] = [];
        core.HcsSetComputeSystemCallback(system, 0, null, () => {
          const operation = core.HcsCreateOperation(null, (done) => {
            states.push(JSON.parse(core.HcsGetOperationResult(done) ?? '[]'));
            core.HcsCloseOperation(done);
          });
          core.HcsEnumerateComputeSystems(JSON.stringify({ Ids: [id] }), operation);
        });
        await terminate(system);
        await until(() => states.length > 0);
        expect(states).toEqual([[]]);
        await core.HcsCloseComputeSystem(system);
      });
    });

    test('the exit can be waited for, before it and after it, until the time is over or the handle is closed', async () => {
      const system = await create();
      const other = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
      for (const timeout of [0, 1]) {
        const wait = () => core.HcsWaitForComputeSystemExit(system, timeout);
        expect(await codeOf(wait)).toBe('HCS_E_OPERATION_TIMEOUT');
      }
      const before = core.HcsWaitForComputeSystemExit(system, INFINITE);
      const closed = codeOf(() => core.HcsWaitForComputeSystemExit(other, INFINITE));
      await core.HcsCloseComputeSystem(other);
      expect(await closed).toBe('ERROR_INVALID_HANDLE');
      await terminate(system);
      expect(await before).toBe(await core.HcsWaitForComputeSystemExit(system, 0));
      await core.HcsCloseComputeSystem(system);
    });

    test('many waits at once end, each with its own result', async () => {
      const release = under.hold('HcsStartComputeSystem', id);
      const system = await create();
      const operation = core.HcsCreateOperation(null, null);
      core.HcsStartComputeSystem(system, operation, null);
      const waits = Array.from({ length: 20 }, () =>
        core.HcsWaitForOperationResult(operation, INFINITE),
      );
      const exits = Array.from({ length: 20 }, () =>
        core.HcsWaitForComputeSystemExit(system, INFINITE),
      );
      await aWhile();
      release();
      expect(new Set(await Promise.all(waits))).toEqual(new Set([null]));
      await terminate(system);
      expect(new Set(await Promise.all(exits)).size).toBe(1);
      core.HcsCloseOperation(operation);
      await core.HcsCloseComputeSystem(system);
    });

    test('the service tells the schema versions that it understands', async () => {
      const query = '{"PropertyTypes":["Basic"]}';
      const { Properties } = JSON.parse(await core.HcsGetServiceProperties(query));
      expect(Properties[0].SupportedSchemaVersions).toContainEqual({ Major: 2, Minor: 6 });
    });
  });
}
