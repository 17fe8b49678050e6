import { expect, test } from 'vitest';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import {
  CLASS_ID,
  codeOf,
  device,
  deviceRequest,
  errorOf,
  INSTANCE,
  OTHER_INSTANCE,
  Rig,
  vm,
} from './recording-engine.ts';

function machineWith(flexibleIov: unknown) {
  return { VirtualMachine: { Devices: { FlexibleIov: flexibleIov } } } as never;
}

test('connects the devices of the document at start, in its order, with their strings', async () => {
  const rig = new Rig();
  const system = await rig.create(
    'vm',
    machineWith({ [INSTANCE]: device('a=1', 'b=2'), [OTHER_INSTANCE]: device() }),
  );
  const endpoint = rig.announce(INSTANCE.toUpperCase());
  rig.announce(OTHER_INSTANCE, 'vm', CLASS_ID.toUpperCase());
  await rig.start(system);
  expect(rig.engine.log).toContain(`start ${INSTANCE} ${OTHER_INSTANCE}`);
  expect(rig.engine.machine.connected.get(INSTANCE)).toEqual({ kind: 'test' });
  expect(endpoint.log).toEqual(['on a=1,b=2']);
});

test('names the device, and what to do, when no device host answers at start; the start can be tried again', async () => {
  const rig = new Rig();
  const system = await rig.create('vm', vm(INSTANCE));
  rig.announce(INSTANCE, 'other system');
  const error = await errorOf(() => rig.start(system));
  expect(error.hresult).toBe(0x8000_ffff);
  expect(error.reason).toContain(INSTANCE);
  expect(error.reason).toContain('DeviceHost.attach');
  expect(JSON.parse(error.document ?? '')).toMatchObject({
    Error: -2147418113,
    Attribution: [
      {
        VirtualDeviceFailure: {
          Detail: 'FinishReservingResources',
          Name: 'FlexIo',
          DeviceId: 'a8679153-843f-467f-ad7e-f429328f7568',
          InstanceId: INSTANCE,
        },
      },
    ],
  });
  expect(rig.engine.log).toEqual(['create']);
  rig.announce(INSTANCE);
  await rig.start(system);
});

test('adds and removes a device of a running system', async () => {
  const rig = new Rig();
  const endpoint = rig.announce(INSTANCE);
  const system = await rig.create();
  await rig.start(system);
  for (let cycle = 0; cycle < 3; cycle++) {
    await rig.modify(system, deviceRequest('Add', INSTANCE));
    expect([...rig.engine.machine.connected.keys()]).toEqual([INSTANCE]);
    await rig.modify(system, deviceRequest('Remove', `{${INSTANCE.toUpperCase()}}`));
    expect(rig.engine.machine.connected.size).toBe(0);
  }
  expect(endpoint.log).toEqual(['on port=1', 'off', 'on port=1', 'off', 'on port=1', 'off']);
});

test('connects a device added before the start at the start, unless it is removed before', async () => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.modify(system, deviceRequest('Add', INSTANCE));
  await rig.modify(system, deviceRequest('Add', OTHER_INSTANCE));
  await rig.modify(system, deviceRequest('Remove', OTHER_INSTANCE));
  rig.announce(INSTANCE);
  await rig.start(system);
  expect(rig.engine.log).toEqual(['create', `start ${INSTANCE}`]);
});

test('fails an add when no device host answers, and the machine is not asked', async () => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.start(system);
  const error = await errorOf(() => rig.modify(system, deviceRequest('Add', INSTANCE)));
  expect([error.function, error.code]).toEqual(['HcsModifyComputeSystem', 'E_UNEXPECTED']);
  expect(error.document).toContain('VirtualDeviceFailure');
  expect(rig.engine.log).toEqual(['create', 'start']);
});

test('attributes the failure of a device that refuses its configuration, and lets go of it', async () => {
  const rig = new Rig();
  const endpoint = rig.announce(INSTANCE);
  endpoint.refusal = new RangeError('unknown option port');
  const system = await rig.create();
  await rig.start(system);
  const error = await errorOf(() => rig.modify(system, deviceRequest('Add', INSTANCE)));
  expect(error.code).toBe('E_UNEXPECTED');
  expect(error.reason).toContain('unknown option port');
  expect(error.document).toContain(`"InstanceId":"${INSTANCE}"`);
  expect(endpoint.log).toEqual(['on port=1', 'off']);
  endpoint.refusal = undefined;
  await rig.modify(system, deviceRequest('Add', INSTANCE));
});

test('keeps the HRESULT that a device fails with', async () => {
  const rig = new Rig();
  const endpoint = rig.announce(INSTANCE);
  const hresult = HRESULT.ERROR_HV_INVALID_PARAMETER;
  endpoint.refusal = new HcsError({ function: 'SetConfiguration', hresult });
  const system = await rig.create();
  await rig.start(system);
  const error = await errorOf(() => rig.modify(system, deviceRequest('Add', INSTANCE)));
  expect(error.hresult).toBe(hresult);
});

test('keeps a device that the machine cannot remove', async () => {
  const rig = new Rig();
  const endpoint = rig.announce(INSTANCE);
  const system = await rig.create('vm', vm(INSTANCE));
  await rig.start(system);
  rig.engine.fail(
    'removeDevice',
    new HcsError({
      function: 'device_del',
      hresult: HRESULT.ERROR_NOT_SUPPORTED,
      message: 'a device with MSI-X cannot be removed',
    }),
  );
  const error = await errorOf(() => rig.modify(system, deviceRequest('Remove', INSTANCE)));
  expect([error.hresult, error.reason]).toEqual([
    0x8007_0032,
    'a device with MSI-X cannot be removed',
  ]);
  expect(endpoint.log).toEqual(['on ']);
  expect(await codeOf(() => rig.modify(system, deviceRequest('Add', INSTANCE)))).toBe(
    'ERROR_ALREADY_EXISTS',
  );
});

test('refuses an instance id that the system has, and one that it does not have', async () => {
  const rig = new Rig();
  const system = await rig.create('vm', vm(INSTANCE));
  rig.announce(INSTANCE);
  const add = () => rig.modify(system, deviceRequest('Add', INSTANCE.toUpperCase()));
  expect(await codeOf(add)).toBe('ERROR_ALREADY_EXISTS');
  await rig.start(system);
  const error = await errorOf(add);
  expect(error.code).toBe('ERROR_ALREADY_EXISTS');
  expect(error.reason).toContain('an instance id of its own');
  expect(await codeOf(() => rig.modify(system, deviceRequest('Remove', OTHER_INSTANCE)))).toBe(
    'ERROR_NOT_FOUND',
  );
});

test.each([
  ['no GUID as key', { disk: device() }, 'HCS_E_INVALID_JSON', '["disk"]|$.VirtualMachine'],
  [
    'one key in two spellings',
    { [INSTANCE]: device(), [INSTANCE.toUpperCase()]: device() },
    'HCS_E_INVALID_JSON',
    'same instance id',
  ],
  ['no class', { [INSTANCE]: { HostingModel: 'External' } }, 'HCS_E_INVALID_JSON', 'EmulatorId'],
  ['no hosting model', { [INSTANCE]: { EmulatorId: CLASS_ID } }, 'ERROR_NOT_SUPPORTED', 'External'],
  [
    'the hosting model Internal',
    { [INSTANCE]: { ...device(), HostingModel: 'Internal' } },
    'ERROR_NOT_SUPPORTED',
    'Internal',
  ],
  [
    'an unknown hosting model',
    { [INSTANCE]: { ...device(), HostingModel: 'external' } },
    'HCS_E_INVALID_JSON',
    'did you mean "External"?',
  ],
  [
    'a class that is no GUID',
    { [INSTANCE]: { ...device(), EmulatorId: 'edu' } },
    'HCS_E_INVALID_JSON',
    'EmulatorId is "edu"',
  ],
  [
    'configuration that is no list of strings',
    { [INSTANCE]: { ...device(), Configuration: [1] } },
    'HCS_E_INVALID_JSON',
    'Configuration[0] is 1',
  ],
])('refuses a document with %s', async (_what, entries, code, text) => {
  const rig = new Rig();
  const error = await errorOf(() => rig.create('vm', machineWith(entries)));
  expect(error.code).toBe(code);
  for (const part of text.split('|')) expect(error.reason).toContain(part);
});

test('takes an instance id once per system in the directory', () => {
  const rig = new Rig();
  rig.announce(INSTANCE);
  rig.announce(INSTANCE, 'another system');
  expect(() => rig.announce(INSTANCE.toUpperCase(), 'vm', OTHER_INSTANCE)).toThrow(
    /an instance id of its own/,
  );
});

test('takes an instance id once also in a system of another id space', () => {
  const rig = new Rig();
  rig.announce(INSTANCE, 'space\nvm');
  rig.announce(INSTANCE, 'space\nother');
  expect(() => rig.announce(INSTANCE, 'space\nvm', OTHER_INSTANCE)).toThrow(
    /an instance id of its own/,
  );
  expect(() => rig.announce(INSTANCE, 'space\nvm')).toThrow(/an instance id of its own/);
});
