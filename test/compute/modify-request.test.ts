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
    { ResourcePath: 'VirtualMachine/ComputeTopology/Memory/SizeInMB', Settings: 512 },
    'ERROR_NOT_SUPPORTED',
    'cannot be changed on this host',
  ],
  [
    { ResourcePath: 'VirtualMachine/Devices/MappedPipes/\\\\.\\pipe\\x/y', RequestType: 'Add' },
    'ERROR_NOT_SUPPORTED',
    'cannot be changed on this host',
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
