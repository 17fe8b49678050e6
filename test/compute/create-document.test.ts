import { expect, test } from 'vitest';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { OBJECT_TYPES } from '../../src/hcs/schema/schema-types.ts';
import { codeOf, errorOf, Rig, vm } from './recording-engine.ts';

test.each([
  ['no kind of system', { Owner: 'x' }, 'HCS_E_INVALID_JSON', 'has none of VirtualMachine'],
  [
    'two kinds of system',
    { VirtualMachine: {}, Container: {} },
    'HCS_E_INVALID_JSON',
    'VirtualMachine and Container',
  ],
  ['a kind that no engine runs', { Container: {} }, 'E_NOTIMPL', '$.Container'],
  [
    'a newer schema',
    { SchemaVersion: { Major: 2, Minor: 7 }, VirtualMachine: {} },
    'HCS_E_INVALID_JSON',
    '$.SchemaVersion is 2.7',
  ],
  [
    'a misspelt key',
    { VirtualMachine: { ComputeTopology: { Memory: { SizeinMb: 1 } } } },
    'HCS_E_INVALID_JSON',
    '$.VirtualMachine.ComputeTopology.Memory.SizeinMb is not a key of VirtualMachine_Memory: did you mean "SizeInMB"?',
  ],
])('refuses a document with %s', async (_what, document, code, text) => {
  const rig = new Rig();
  const error = await errorOf(() => rig.create('vm', document as never));
  expect(error.code).toBe(code);
  expect(error.reason).toContain(text);
  expect(rig.engine.log).toEqual([]);
});

test('takes a document of any version of the schema, and of no other', async () => {
  // The newest version that a field of the schema came with.
  const texts: readonly object[] = Object.values(OBJECT_TYPES);
  const versions = texts.flatMap((fields) =>
    Object.values(fields).flatMap((field) => / 2\.(\d+)$/.exec(field)?.[1] ?? []),
  );
  const newest = Math.max(...versions.map(Number));
  const create = (SchemaVersion: object) =>
    errorOf(() => new Rig().create('vm', { ...vm(), SchemaVersion } as never));
  for (let Minor = 0; Minor <= newest; Minor++) {
    await new Rig().create('vm', { ...vm(), SchemaVersion: { Major: 2, Minor } });
  }
  for (const [Major, Minor] of [
    [0, 0],
    [1, 0],
    [1, newest],
    [2, newest + 1],
    [3, 0],
  ]) {
    const error = await create({ Major, Minor });
    expect([error.code, error.path]).toEqual(['HCS_E_INVALID_JSON', '$.SchemaVersion']);
    expect(error.reason).toContain(
      `is ${Major}.${Minor}: this host understands 2.0 to 2.${newest}`,
    );
  }
});

test('leaves the id free after a refusal', async () => {
  const rig = new Rig();
  expect(await codeOf(() => rig.create('vm', {}))).toBe('HCS_E_INVALID_JSON');
  expect(await codeOf(() => rig.create())).toBe('S_OK');
});

test('passes on what the engine cannot honour, as the failure of the create call', async () => {
  const rig = new Rig();
  rig.engine.checkError = new HcsError({
    function: 'check',
    hresult: HRESULT.E_NOTIMPL,
    message: 'VirtualMachine.Devices.Battery is not there',
  });
  const error = await errorOf(() => rig.create());
  expect([error.function, error.code]).toEqual(['HcsCreateComputeSystem', 'E_NOTIMPL']);
  expect(error.reason).toBe('VirtualMachine.Devices.Battery is not there');
});

test('gives the engine the document without fields that are null', async () => {
  const rig = new Rig();
  await rig.create('vm', { Owner: null, VirtualMachine: { Chipset: null } } as never);
  expect(rig.engine.machine.request.document).toEqual({ VirtualMachine: {} });
});

test('wants an id, and no security descriptor', async () => {
  const rig = new Rig();
  expect(await codeOf(() => rig.create(''))).toBe('E_INVALIDARG');
  const text = JSON.stringify(vm());
  expect(
    await codeOf(() => rig.run((o) => rig.core.HcsCreateComputeSystem('vm', text, o, 1n))),
  ).toBe('E_INVALIDARG');
});

test('gives the engine a runtime id: the id where it is a GUID, else a GUID that stays the same', async () => {
  const guid = '0F6C8A2E-5b1d-4c3e-8f70-2a9b4d6e8c01';
  const ids: string[] = [];
  for (const id of [guid, 'first', 'first', 'second']) {
    const rig = new Rig();
    const system = await rig.create(id);
    ids.push(rig.engine.machine.request.runtimeId);
    expect((await rig.properties(system)).RuntimeId).toBe(ids.at(-1));
  }
  expect(ids[0]).toBe(guid.toLowerCase());
  expect(ids[1]).toBe(ids[2]);
  expect(ids[1]).not.toBe(ids[3]);
  expect(ids[1]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
