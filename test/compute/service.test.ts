import { expect, test } from 'vitest';
import { notImplemented } from '../../src/compute/not-implemented.ts';
import { simulatedHostInformation } from '../../src/engines/simulated/host-information.ts';
import { COMPUTE_CORE_FUNCTIONS } from '../../src/hcs/compute-core.ts';
import { codeOf, Rig } from './recording-engine.ts';

const properties = async (query: string | null): Promise<unknown> =>
  JSON.parse(await new Rig({ host: simulatedHostInformation }).core.HcsGetServiceProperties(query));

test.each([null, '', '{}', '{"PropertyTypes":["Basic"]}'])(
  'answers the service query %j with the schema versions',
  async (query) => {
    expect(await properties(query)).toEqual({
      Properties: [{ SupportedSchemaVersions: [{ Major: 2, Minor: 6 }] }],
    });
  },
);

test('answers each service query key for itself', async () => {
  const query = JSON.stringify({
    PropertyQueries: { Basic: {}, ProcessorCapabilities: {}, toString: {}, Unknown: null },
  });
  expect(await properties(query)).toMatchObject({
    PropertyResponses: {
      Basic: { Response: { SupportedSchemaVersions: [{ Major: 2, Minor: 6 }] } },
      ProcessorCapabilities: { Response: { CacheLineFlushSize: 64 } },
      toString: { Error: { Error: 0x8000_4001 | 0 } },
      Unknown: { Error: { Error: 0x8000_4001 | 0 } },
    },
  });
});

test('answers both forms of the service query alike, in the order of the question', async () => {
  const types = ['Memory', 'QoSCapabilities', 'ProcessorTopology', 'CpuGroup', 'Basic'];
  const list = (await properties(JSON.stringify({ PropertyTypes: types }))) as {
    readonly Properties: readonly unknown[];
  };
  const keys = (await properties(
    JSON.stringify({ PropertyQueries: Object.fromEntries(types.map((type) => [type, {}])) }),
  )) as { readonly PropertyResponses: Record<string, { readonly Response: unknown }> };
  expect(types.map((type) => keys.PropertyResponses[type]?.Response)).toEqual(list.Properties);
  expect(list.Properties).toEqual([
    {
      NumaNodes: [
        { NodeNumber: 0, TotalMemory: 1048576, AvailableMemory: 1048576 },
        { NodeNumber: 1, TotalMemory: 1048576, AvailableMemory: 1048576 },
      ],
    },
    { ProcessorQoSSupported: false },
    expect.objectContaining({ LogicalProcessorCount: 8 }),
    { CpuGroups: [] },
    { SupportedSchemaVersions: [{ Major: 2, Minor: 6 }] },
  ]);
});

test('refuses service queries that it cannot read or answer', async () => {
  const { core } = new Rig();
  const query = (text: string): Promise<string> => codeOf(() => core.HcsGetServiceProperties(text));
  expect(await query('{"PropertyTypes":["Basics"]}')).toBe('HCS_E_INVALID_JSON');
  expect(await query('{"PropertyTypes":["CacheAllocation"]}')).toBe('E_NOTIMPL');
  expect(await query('{"PropertyTypes":["ContainerCredentialGuard"]}')).toBe('E_NOTIMPL');
  expect(await query('{"PropertyTypes":"Basic"}')).toBe('HCS_E_INVALID_JSON');
});

/** Calls a function with handles that are open and otherwise nothing. */
async function answer(name: (typeof COMPUTE_CORE_FUNCTIONS)[number]): Promise<string> {
  const rig = new Rig();
  const system = await rig.create();
  const operation = rig.core.HcsCreateOperation(null, null);
  const takesSystem = /LiveMigration|CrashCompute|SaveCompute|CreateProcess|OpenProcess/.test(name);
  const first = takesSystem ? system : operation;
  const call = rig.core[name] as (...args: unknown[]) => unknown;
  return await codeOf(() => call.call(rig.core, first, name === 'HcsOpenProcess' ? 1 : operation));
}

test.each(notImplemented)('answers %s with E_NOTIMPL, as its list says', async (name) => {
  expect(await answer(name)).toBe('E_NOTIMPL');
});

test('has every function of the contract', () => {
  const { core } = new Rig();
  for (const name of COMPUTE_CORE_FUNCTIONS)
    expect([name, typeof core[name]]).toEqual([name, 'function']);
  expect(new Set(notImplemented).size).toBe(notImplemented.length);
});
