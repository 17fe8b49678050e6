import { expect, test } from 'vitest';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
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
