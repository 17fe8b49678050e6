import { expect, test } from 'vitest';
import { simulatedHostInformation } from '../../src/engines/simulated/host-information.ts';
import { codeOf, errorOf, Rig } from './recording-engine.ts';

const GROUP = '7d3b5f10-2c4e-4d6a-8b9c-1e3f5a7b9d20';
const OTHER = '7d3b5f10-2c4e-4d6a-8b9c-1e3f5a7b9d21';
const NONE = '00000000-0000-0000-0000-000000000000';
const CAPACITY = 0x1_0000;
const PATH = 'VirtualMachine/ComputeTopology/Processor/CpuGroup';

const rigOf = (): Rig => new Rig({ host: simulatedHostInformation });

function change(rig: Rig, Operation: unknown, OperationDetails: unknown): Promise<string | null> {
  const settings = { PropertyType: 'CpuGroup', Settings: { Operation, OperationDetails } };
  return rig.core.HcsModifyServiceSettings(JSON.stringify(settings));
}

function create(rig: Rig, GroupId: string, ...LogicalProcessors: readonly number[]) {
  const LogicalProcessorCount = LogicalProcessors.length;
  return change(rig, 'CreateGroup', { GroupId, LogicalProcessorCount, LogicalProcessors });
}

async function groups(rig: Rig): Promise<unknown> {
  const text = await rig.core.HcsGetServiceProperties('{"PropertyTypes":["CpuGroup"]}');
  return JSON.parse(text).Properties[0].CpuGroups;
}

test('a group is created, shown, changed and deleted', async () => {
  const rig = rigOf();
  expect(await create(rig, GROUP.toUpperCase(), 3, 1)).toBeNull();
  await change(rig, 'SetProperty', { GroupId: GROUP, PropertyCode: CAPACITY, PropertyValue: 500 });
  expect(await groups(rig)).toEqual([
    {
      GroupId: GROUP,
      Affinity: { LogicalProcessorCount: 2, LogicalProcessors: [1, 3] },
      GroupProperties: [{ PropertyCode: CAPACITY, PropertyValue: 500 }],
      HypervisorGroupId: 1,
    },
  ]);
  await change(rig, 'DeleteGroup', { GroupId: GROUP });
  expect(await groups(rig)).toEqual([]);
});

test.each([
  ['an unknown operation', 'MakeGroup', { GroupId: OTHER }, 'HCS_E_INVALID_JSON'],
  ['no operation', undefined, { GroupId: OTHER }, 'HCS_E_INVALID_JSON'],
  ['no details', 'CreateGroup', undefined, 'HCS_E_INVALID_JSON'],
  ['details of another kind', 'DeleteGroup', { GroupID: GROUP }, 'HCS_E_INVALID_JSON'],
  ['an id that is no GUID', 'DeleteGroup', { GroupId: 'first' }, 'HCS_E_INVALID_JSON'],
  ['no id', 'DeleteGroup', {}, 'E_INVALIDARG'],
  ['no processors', 'CreateGroup', { GroupId: OTHER }, 'E_INVALIDARG'],
  [
    'a count that is not that of the list',
    'CreateGroup',
    { GroupId: OTHER, LogicalProcessorCount: 2, LogicalProcessors: [0] },
    'E_INVALIDARG',
  ],
  [
    'a processor that is not there',
    'CreateGroup',
    { GroupId: OTHER, LogicalProcessorCount: 1, LogicalProcessors: [8] },
    'E_INVALIDARG',
  ],
  [
    'a processor twice',
    'CreateGroup',
    { GroupId: OTHER, LogicalProcessorCount: 2, LogicalProcessors: [1, 1] },
    'E_INVALIDARG',
  ],
  [
    'an id that is taken',
    'CreateGroup',
    { GroupId: GROUP, LogicalProcessorCount: 1, LogicalProcessors: [1] },
    'ERROR_HV_INVALID_CPU_GROUP_STATE',
  ],
  [
    'the id of no group',
    'CreateGroup',
    { GroupId: NONE, LogicalProcessorCount: 1, LogicalProcessors: [1] },
    'ERROR_HV_INVALID_CPU_GROUP_ID',
  ],
  ['an id that nothing has', 'DeleteGroup', { GroupId: OTHER }, 'ERROR_HV_INVALID_CPU_GROUP_ID'],
  [
    'a property of a group that is not there',
    'SetProperty',
    { GroupId: OTHER, PropertyCode: CAPACITY, PropertyValue: 1 },
    'ERROR_HV_INVALID_CPU_GROUP_ID',
  ],
  [
    'a property that does not exist',
    'SetProperty',
    { GroupId: GROUP, PropertyCode: 1, PropertyValue: 1 },
    'E_INVALIDARG',
  ],
  [
    'a property without a value',
    'SetProperty',
    { GroupId: GROUP, PropertyCode: CAPACITY },
    'E_INVALIDARG',
  ],
] as const)(
  'a change with %s is refused, and changes nothing',
  async (_, operation, details, code) => {
    const rig = rigOf();
    await create(rig, GROUP, 0);
    const before = await groups(rig);
    const error = await errorOf(() => change(rig, operation, details));
    expect([error.function, error.code]).toEqual(['HcsModifyServiceSettings', code]);
    expect(error.path).toMatch(/^\$\.Settings/);
    expect(await groups(rig)).toEqual(before);
  },
);

test('a property that the host does not see to is refused', async () => {
  const rig = new Rig({ host: { ...simulatedHostInformation, cpuGroupProperties: [] } });
  await create(rig, GROUP, 0);
  const details = { GroupId: GROUP, PropertyCode: CAPACITY, PropertyValue: 1 };
  expect(await codeOf(() => change(rig, 'SetProperty', details))).toBe('ERROR_NOT_SUPPORTED');
});

test.each([
  ['{}', 'HCS_E_INVALID_JSON'],
  ['', 'HCS_E_INVALID_JSON'],
  ['{"PropertyType":"CpuGroup"}', 'HCS_E_INVALID_JSON'],
  ['{"PropertyType":"CpuGroups","Settings":{}}', 'HCS_E_INVALID_JSON'],
  ['{"PropertyType":"CpuGroup","Settings":7}', 'HCS_E_INVALID_JSON'],
  ['{"PropertyType":"ContainerCredentialGuard","Settings":{}}', 'ERROR_NOT_SUPPORTED'],
])('the settings %s are refused with %s', async (text, code) => {
  expect(await codeOf(() => rigOf().core.HcsModifyServiceSettings(text))).toBe(code);
});

test('a system that joins a group is bound to its processors, and keeps it from being deleted', async () => {
  const rig = rigOf();
  const { engine } = rig;
  await create(rig, GROUP, 2, 3);
  const system = await rig.create();
  await rig.start(system);
  const join = (Id: string) =>
    rig.modify(system, { ResourcePath: PATH, RequestType: 'Update', Settings: { Id } });
  await join(GROUP);
  expect(engine.log.at(-1)).toBe(`modify Update ${PATH} {"Id":"${GROUP}"} on 2,3`);
  const drop = () => codeOf(() => change(rig, 'DeleteGroup', { GroupId: GROUP }));
  expect(await drop()).toBe('ERROR_HV_INVALID_CPU_GROUP_STATE');
  expect(await codeOf(() => join(OTHER))).toBe('ERROR_HV_INVALID_CPU_GROUP_ID');
  engine.failNext('modify', new Error('no'));
  expect(await codeOf(() => join(NONE))).toBe('E_FAIL');
  expect(await drop()).toBe('ERROR_HV_INVALID_CPU_GROUP_STATE');
  await join(NONE);
  expect(engine.log.at(-1)).toContain('on 0,1,2,3,4,5,6,7');
  expect(await drop()).toBe('S_OK');
});

test('a system is created in the group that its document names, and leaves it with its end', async () => {
  const rig = rigOf();
  const document = (Id: string) => ({
    VirtualMachine: { ComputeTopology: { Processor: { CpuGroup: { Id } } } },
  });
  const missing = await errorOf(() => rig.create('vm', document(GROUP)));
  expect([missing.code, missing.path]).toEqual([
    'ERROR_HV_INVALID_CPU_GROUP_ID',
    '$.VirtualMachine.ComputeTopology.Processor.CpuGroup.Id',
  ]);
  await create(rig, GROUP, 5);
  const system = await rig.create('vm', document(GROUP));
  expect(rig.engine.machine.request.logicalProcessors).toEqual([5]);
  const drop = () => codeOf(() => change(rig, 'DeleteGroup', { GroupId: GROUP }));
  expect(await drop()).toBe('ERROR_HV_INVALID_CPU_GROUP_STATE');
  await rig.terminate(system);
  expect(await drop()).toBe('S_OK');
});
