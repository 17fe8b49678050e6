import { afterEach, beforeEach, expect, test } from 'vitest';
import { list } from '../../../src/cli/hcs/list.ts';
import type { HcsContext } from '../../../src/cli/hcs/service-host.ts';
import type { ComputeCore } from '../../../src/hcs/compute-core.ts';
import type { HCS_OPERATION, HCS_OPERATION_COMPLETION } from '../../../src/hcs/core/handles.ts';

const COUNT = 10_000;

/** A service that has many systems and knows how to list them. */
class ManySystems {
  #completion: HCS_OPERATION_COMPLETION = () => {};

  HcsCreateOperation(_context: unknown, completion: HCS_OPERATION_COMPLETION): HCS_OPERATION {
    this.#completion = completion;
    return 1n as unknown as HCS_OPERATION;
  }

  HcsEnumerateComputeSystems(_query: string, operation: HCS_OPERATION): void {
    setImmediate(() => this.#completion(operation, null));
  }

  HcsGetOperationResult(): string {
    return JSON.stringify(
      Array.from({ length: COUNT }, (_, at) => ({
        Id: `system-${String((at * 7919) % COUNT).padStart(5, '0')}`,
        SystemType: 'VirtualMachine',
        State: at % 2 === 0 ? 'Running' : 'Paused',
        Owner: 'many',
      })),
    );
  }

  HcsCloseOperation(): void {}
}

const context: HcsContext = {
  connect: () =>
    Promise.resolve({
      name: 'simulated' as const,
      core: new ManySystems() as unknown as ComputeCore,
      outlivesCommand: true,
      close: () => Promise.resolve(),
    }),
};

let said: string;
const { write } = process.stdout;

beforeEach(() => {
  said = '';
  process.stdout.write = (chunk: unknown): boolean => {
    said += String(chunk);
    return true;
  };
});

afterEach(() => {
  process.stdout.write = write;
});

test('lists 10,000 systems, by their ids', async () => {
  await list(context, {});
  const lines = said.trimEnd().split('\n');
  expect(lines).toHaveLength(COUNT + 1);
  expect(lines[0]).toBe('ID            STATE    TYPE            OWNER');
  expect(lines[1]).toMatch(/^system-00000 {2}\w+ +VirtualMachine {2}many$/);
  expect(lines.slice(1)).toEqual(lines.slice(1).sort());
});

test('lists 10,000 systems for programs', async () => {
  await list(context, { json: true, state: 'paused' });
  expect(JSON.parse(said)).toHaveLength(COUNT / 2);
});
