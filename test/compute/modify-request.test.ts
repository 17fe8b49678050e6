import { expect, test } from 'vitest';
import { device, errorOf, INSTANCE, Rig } from './recording-engine.ts';

const path = `VirtualMachine/Devices/FlexibleIov/${INSTANCE}`;

test.each([
  ['{', 'HCS_E_INVALID_JSON', 'is not JSON'],
  [{ ResourcePth: path }, 'HCS_E_INVALID_JSON', 'did you mean "ResourcePath"?'],
  [{ ResourcePath: path, RequestType: 'add' }, 'HCS_E_INVALID_JSON', 'did you mean "Add"?'],
  [{ ResourcePath: path, Settings: device() }, 'E_INVALIDARG', 'write "Add" or "Remove"'],
  [{ ResourcePath: path, RequestType: 'Add' }, 'HCS_E_INVALID_JSON', '$.Settings is missing'],
  [
    { ResourcePath: path, RequestType: 'Add', Settings: { EmulatorID: 'x' } },
    'HCS_E_INVALID_JSON',
    '$.Settings.EmulatorID is not a key of FlexibleIoDevice: did you mean "EmulatorId"?',
  ],
  [
    { ResourcePath: path, RequestType: 'Add', Settings: 3 },
    'HCS_E_INVALID_JSON',
    '$.Settings is 3',
  ],
  [
    {
      ResourcePath: 'VirtualMachine/Devices/FlexibleIov/edu',
      RequestType: 'Add',
      Settings: device(),
    },
    'HCS_E_INVALID_JSON',
    '"edu", not a GUID',
  ],
  [{ ResourcePath: path, RequestType: 'Update' }, 'ERROR_NOT_SUPPORTED', 'add it again'],
  [
    { ResourcePath: `VirtualMachine/Device/FlexibleIov/${INSTANCE}`, RequestType: 'Add' },
    'E_INVALIDARG',
    'does not exist; did you mean VirtualMachine/Devices/FlexibleIov/<instance id>?',
  ],
  [{ RequestType: 'Add' }, 'E_INVALIDARG', '$.ResourcePath ""'],
  [
    { ResourcePath: 'VirtualMachine/ComputeTopology/Memory/SizeInMB', Settings: '512' },
    'HCS_E_INVALID_JSON',
    '$.Settings is "512": write a number from 0',
  ],
  [
    { ResourcePath: 'VirtualMachine/Devices/MappedPipes/x', RequestType: 'Add', Settings: {} },
    'E_INVALIDARG',
    '$.Settings must not be there',
  ],
  [
    { ResourcePath: 'VirtualMachine/Devices/Plan9/Shares', RequestType: 'Remove' },
    'HCS_E_INVALID_JSON',
    '$.Settings is missing: it is the Plan9Share document that names what to remove',
  ],
  [{ ResourcePath: '', GuestRequest: {} }, 'ERROR_NOT_SUPPORTED', '$.GuestRequest'],
])('refuses the request %j', async (request, code, text) => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.start(system);
  const document = typeof request === 'string' ? request : JSON.stringify(request);
  const error = await errorOf(() =>
    rig.run((operation) => rig.core.HcsModifyComputeSystem(system, operation, document, null)),
  );
  expect(error.code).toBe(code);
  expect(error.reason).toContain(text);
  expect(rig.engine.log).toEqual(['create', 'start']);
});

test.each([
  [
    { ResourcePath: 'VirtualMachine/ComputeTopology/Memory/SizeInMB', Settings: 512 },
    'modify Update VirtualMachine/ComputeTopology/Memory/SizeInMB 512',
  ],
  [
    {
      ResourcePath: 'VirtualMachine/Devices/MappedPipes/\\\\.\\pipe\\x/y',
      RequestType: 'Add',
    },
    'modify Add VirtualMachine/Devices/MappedPipes/<host pipe> \\\\.\\pipe\\x/y',
  ],
  [
    {
      ResourcePath: 'VirtualMachine/Devices/Scsi/disks/Attachments/3',
      RequestType: 'Remove',
      Settings: { Path: '/ignored' },
    },
    'modify Remove VirtualMachine/Devices/Scsi/<controller>/Attachments/<lun> disks 3',
  ],
  [
    {
      ResourcePath: 'VirtualMachine/Devices/NetworkAdapters/{6a0c7c0e-1d2f-4f3a-9a55-0d3f5b0e1c11}',
      RequestType: 'Add',
      Settings: { MacAddress: '00-15-5D-00-00-01' },
    },
    'modify Add VirtualMachine/Devices/NetworkAdapters/<id> 6a0c7c0e-1d2f-4f3a-9a55-0d3f5b0e1c11 {"MacAddress":"00-15-5D-00-00-01"}',
  ],
])('hands the request %j to the engine', async (request, asked) => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.start(system);
  await rig.modify(system, request);
  expect(rig.engine.log).toEqual(['create', 'start', asked]);
});
