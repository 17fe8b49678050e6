import { expect, test } from 'vitest';
import { propertyResponse } from '../../src/compute/system-properties.ts';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { codeOf, Rig, vm } from './recording-engine.ts';

test.each([null, {}, { PropertyTypes: [] }, { PropertyTypes: ['Basic'] }])(
  'answers the query %j with the basic properties',
  async (query) => {
    const rig = new Rig();
    const system = await rig.create();
    expect(await rig.properties(system, query)).toEqual({
      Id: 'vm',
      SystemType: 'VirtualMachine',
      Name: 'vm',
      Owner: 'test',
      RuntimeId: rig.engine.machine.request.runtimeId,
      State: 'Created',
    });
    expect(rig.engine.log).toEqual(['create']);
  },
);

test('adds what the engine knows, and what the service knows', async () => {
  const rig = new Rig();
  const system = await rig.create('vm', { ...vm(), ShouldTerminateOnLastHandleClosed: true });
  const answer = await rig.properties(system, {
    PropertyTypes: ['Memory', 'Statistics', 'TerminateOnLastHandleClosed'],
  });
  expect(answer).toMatchObject({
    Id: 'vm',
    Memory: { VirtualNodeCount: 1 },
    TerminateOnLastHandleClosed: true,
  });
  expect(answer).not.toHaveProperty('Statistics');
});

test('answers each query key for itself', async () => {
  const rig = new Rig();
  const system = await rig.create();
  const { PropertyResponses } = await rig.properties(system, {
    Queries: { Basic: null, VmVersion: null },
  });
  expect(PropertyResponses).toMatchObject({
    Basic: { Response: { Id: 'vm', State: 'Created' } },
    VmVersion: { Error: { Error: 0x8000_4001 | 0 } },
  });
});

test('a key that an engine refuses to answer has the reason in its response', () => {
  const message = 'the machine has no monitor';
  const hresult = HRESULT.ERROR_NOT_SUPPORTED;
  const error = new HcsError({ function: 'properties', hresult, message });
  expect(propertyResponse('ConsoleImage', error)).toEqual({
    Error: { Error: hresult | 0, ErrorMessage: message },
  });
});

test('tells the document that a system was created from, also when it has stopped', async () => {
  const rig = new Rig();
  const document = { ...vm(), Owner: 'somebody' };
  const system = await rig.create('vm', document);
  const query = { Queries: { ComputeSystem: null } };
  const told = { PropertyResponses: { ComputeSystem: { Response: document } } };
  expect(await rig.properties(system, query)).toMatchObject(told);
  await rig.terminate(system);
  expect(await rig.properties(system, query)).toMatchObject({ ...told, Stopped: true });
});

test('refuses an unknown type', async () => {
  const rig = new Rig();
  const system = await rig.create();
  expect(await codeOf(() => rig.properties(system, { PropertyTypes: ['Memry'] }))).toBe(
    'HCS_E_INVALID_JSON',
  );
});

test('enumerates the systems that match every criterion', async () => {
  const rig = new Rig();
  await rig.create('a');
  await rig.create('b', { ...vm(), Owner: 'someone' });
  const gone = await rig.create('c');
  await rig.terminate(gone);
  const ids = async (query: unknown): Promise<unknown> => {
    const text = query === null ? null : JSON.stringify(query);
    const found = await rig.run((o) => rig.core.HcsEnumerateComputeSystems(text, o));
    return (JSON.parse(found ?? '') as { readonly Id: string }[]).map(({ Id }) => Id);
  };
  expect(await ids(null)).toEqual(['a', 'b']);
  expect(await ids({ Owners: ['someone', 'test'] })).toEqual(['a', 'b']);
  expect(await ids({ Owners: ['test'], Types: ['VirtualMachine'] })).toEqual(['a']);
  expect(await ids({ Owners: ['test'], Ids: ['b'] })).toEqual([]);
  expect(await ids({ Names: ['b'] })).toEqual(['b']);
  expect(await ids({ Types: ['Container'] })).toEqual([]);
  expect(await codeOf(() => ids({ Owner: ['test'] }))).toBe('HCS_E_INVALID_JSON');
});

test('does not enumerate a system whose creation is pending, though its id is taken', async () => {
  const rig = new Rig();
  const release = rig.engine.hold('create');
  const creating = rig.create();
  const found = () => rig.run((o) => rig.core.HcsEnumerateComputeSystems('', o));
  expect(await found()).toBe('[]');
  expect(await codeOf(() => rig.create())).toBe('HCS_E_SYSTEM_ALREADY_EXISTS');
  release();
  await creating;
  expect(JSON.parse((await found()) ?? '')).toHaveLength(1);
});
