import { randomUUID } from 'node:crypto';
import {
  ComputeSystem,
  GENERIC_ALL,
  type HCS_EVENT,
  HCS_EVENT_TYPE,
  type HCS_OPERATION,
  type HCS_SYSTEM,
  HcsError,
  INFINITE,
} from 'hdvkit/hcs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HostBinding } from '../../src/index.ts';

/** The document of the first sample of the Host Compute System, as it stands there. */
export const SAMPLE_DOCUMENT = `{ "SchemaVersion": { "Major": 2, "Minor": 1 }, "Owner": "Sample",
  "VirtualMachine": { "Chipset": { "Uefi": {} },
    "ComputeTopology": { "Memory": { "Backing": "Physical", "SizeInMB": 1024 }, "Processor": { "Count": 2 } } },
  "ShouldTerminateOnLastHandleClosed": true }`;

/**
 * What the first sample of the Host Compute System does, on one host: creates a system, sets the event callback of its
 * handle, ends the system and sees its exit.
 */
export function describeEventSample(
  name: string,
  open: () => Promise<Pick<HostBinding, 'computeCore' | 'close'>>,
): void {
  describe(`the event sample on the host ${name}`, () => {
    let host: Pick<HostBinding, 'computeCore' | 'close'>;

    beforeAll(async () => {
      host = await open();
    });

    afterAll(async () => {
      await host?.close();
    });

    /** Makes a call on an operation that is used for one call after the other, and waits for it. */
    async function run(operation: HCS_OPERATION, start: () => void): Promise<string | null> {
      start();
      return await host.computeCore.HcsWaitForOperationResult(operation, INFINITE);
    }

    async function create(id: string, operation: HCS_OPERATION): Promise<HCS_SYSTEM> {
      let system = 0n as HCS_SYSTEM;
      await run(operation, () => {
        system = host.computeCore.HcsCreateComputeSystem(id, SAMPLE_DOCUMENT, operation, null);
      });
      return system;
    }

    async function ids(operation: HCS_OPERATION): Promise<readonly string[]> {
      const list = await run(operation, () =>
        host.computeCore.HcsEnumerateComputeSystems(null, operation),
      );
      return (JSON.parse(list ?? '[]') as { Id: string }[]).map(({ Id }) => Id);
    }

    test.each([
      ['that was never started', false],
      ['that runs', true],
    ])('the exit of a system %s arrives once', async (_title, isStarted) => {
      const core = host.computeCore;
      const operation = core.HcsCreateOperation(null, null);
      const system = await create('Test', operation);
      if (isStarted) {
        await run(operation, () => core.HcsStartComputeSystem(system, operation, null));
      }
      const events: (HCS_EVENT & { readonly context: unknown })[] = [];
      const exited = new Promise<void>((resolve) => {
        core.HcsSetComputeSystemCallback(system, 0, 'context', (event, context) => {
          events.push({ ...event, context });
          if (event.Type === HCS_EVENT_TYPE.HcsEventSystemExited) resolve();
        });
      });
      await run(operation, () => core.HcsTerminateComputeSystem(system, operation, null));
      await exited;
      core.HcsCloseOperation(operation);
      await core.HcsCloseComputeSystem(system);
      expect(events).toEqual([
        {
          Type: HCS_EVENT_TYPE.HcsEventSystemExited,
          EventData: expect.stringContaining('"ForcedExit"'),
          Operation: 0n,
          context: 'context',
        },
      ]);
    });

    test('the system ends with its last handle, and not before', async () => {
      const core = host.computeCore;
      const id = randomUUID();
      const operation = core.HcsCreateOperation(null, null);
      const first = await create(id, operation);
      const second = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
      await core.HcsCloseComputeSystem(first);
      expect(await ids(operation)).toContain(id);
      await core.HcsCloseComputeSystem(second);
      while ((await ids(operation)).includes(id)) await new Promise(setImmediate);
      core.HcsCloseOperation(operation);
      await expect(core.HcsOpenComputeSystem(id, GENERIC_ALL)).rejects.toBeInstanceOf(HcsError);
    });

    test('a ComputeSystem yields the exit and its loop ends', async () => {
      const document = JSON.parse(SAMPLE_DOCUMENT) as object;
      const system = await ComputeSystem.create('Test', document, { core: host.computeCore });
      const events = system.events();
      await system.terminate();
      const types: string[] = [];
      for await (const event of events) types.push(event.type);
      await system[Symbol.asyncDispose]();
      expect(types).toEqual(['exited']);
    });
  });
}
