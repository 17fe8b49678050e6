import { expect, test } from 'vitest';
import { notImplemented } from '../../src/compute/not-implemented.ts';
import { COMPUTE_CORE_FUNCTIONS } from '../../src/hcs/compute-core.ts';
import { codeOf, Rig } from './recording-engine.ts';

const properties = async (query: string | null): Promise<unknown> =>
  JSON.parse(await new Rig().core.HcsGetServiceProperties(query));

test.each([null, '', '{}', '{"PropertyTypes":["Basic"]}'])(
  'answers the service query %j with the schema versions',
  async (query) => {
    expect(await properties(query)).toEqual({
      Properties: [{ SupportedSchemaVersions: [{ Major: 2, Minor: 6 }] }],
    });
  },
);

test('answers each service query key for itself', async () => {
  const query = JSON.stringify({ PropertyQueries: { Basic: {}, ProcessorCapabilities: {} } });
  expect(await properties(query)).toMatchObject({
    PropertyResponses: {
      Basic: { Response: { SupportedSchemaVersions: [{ Major: 2, Minor: 6 }] } },
      ProcessorCapabilities: { Error: { Error: 0x8000_4001 | 0 } },
    },
  });
});

test('refuses service queries that it cannot read or answer', async () => {
  const { core } = new Rig();
  expect(await codeOf(() => core.HcsGetServiceProperties('{"PropertyTypes":["Basics"]}'))).toBe(
    'HCS_E_INVALID_JSON',
  );
  expect(await codeOf(() => core.HcsGetServiceProperties('{"PropertyTypes":["CpuGroup"]}'))).toBe(
    'E_NOTIMPL',
  );
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
