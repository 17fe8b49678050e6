import { expect, test } from 'vitest';
import { events } from '../../../src/cli/hcs/events.ts';
import type { HcsContext } from '../../../src/cli/hcs/service-host.ts';
import { failure } from '../../../src/compute/failure.ts';
import type { ComputeCore } from '../../../src/hcs/compute-core.ts';
import type { HCS_OPERATION, HCS_OPERATION_COMPLETION } from '../../../src/hcs/core/handles.ts';
import type { HresultName } from '../../../src/hcs/hresult.ts';

/** A service that ends, or fails otherwise, while it is asked what systems there are. */
class EndingService {
  #completion: HCS_OPERATION_COMPLETION = () => {};
  readonly #code: HresultName;
  asked = 0;

  constructor(code: HresultName) {
    this.#code = code;
  }

  HcsCreateOperation(_context: unknown, completion: HCS_OPERATION_COMPLETION): HCS_OPERATION {
    this.#completion = completion;
    return 1n as unknown as HCS_OPERATION;
  }

  HcsEnumerateComputeSystems(_query: string, operation: HCS_OPERATION): void {
    this.asked++;
    setImmediate(() => this.#completion(operation, null));
  }

  HcsGetOperationResult(): string {
    throw failure('HcsEnumerateComputeSystems', this.#code, 'as it was to');
  }

  HcsCloseOperation(): void {}
}

function contextOf(core: EndingService): HcsContext {
  return {
    connect: () =>
      Promise.resolve({
        name: 'simulated' as const,
        core: core as unknown as ComputeCore,
        outlivesCommand: true,
        close: () => Promise.resolve(),
      }),
  };
}

test('who follows all systems is told that the service has ended also where they were being looked for', async () => {
  const core = new EndingService('HCS_E_SERVICE_DISCONNECT');
  await expect(events(contextOf(core), [], { follow: true })).rejects.toMatchObject({
    message: 'Cannot follow the systems any longer: the compute service has ended',
    remedy: expect.stringContaining('hcs service'),
  });
  expect(core.asked).toBe(1);
});

test('another failure of that look is told as it is', async () => {
  const core = new EndingService('HCS_E_ACCESS_DENIED');
  await expect(events(contextOf(core), [], { follow: true })).rejects.toMatchObject({
    code: 'HCS_E_ACCESS_DENIED',
  });
});
