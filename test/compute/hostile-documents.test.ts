import { expect, test } from 'vitest';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import type { HcsError } from '../../src/hcs/hcs-error.ts';
import { codeOf, errorOf, INSTANCE, Rig, vm } from './recording-engine.ts';

const MIB = 1024 * 1024;

/** What messages and documents about a hostile text may have, in characters. */
const LONGEST = 10_000;

const nested = (depth: number, open: string, close: string, middle = ''): string =>
  open.repeat(depth) + middle + close.repeat(depth);

const attachment = (value: string): string =>
  `{"VirtualMachine":{"Devices":{"Scsi":{"0":{"Attachments":{"0":{"Type":${value}}}}}}}}`;

const texts: Record<string, string> = {
  nothing: '',
  'no JSON': 'VirtualMachine',
  'half a document': '{"VirtualMachine":{',
  'an array': '[]',
  'a number': '7',
  null: 'null',
  'a byte order mark': '\ufeff{"VirtualMachine":{}}',
  'no kind of system': '{}',
  'two kinds of system': '{"VirtualMachine":{},"Container":{}}',
  'a key twice': '{"VirtualMachine":{},"VirtualMachine":{}}',
  'keys of every object': '{"VirtualMachine":{"constructor":1,"__proto__":[],"toString":{}}}',
  'a prototype': '{"__proto__":{"VirtualMachine":{}}}',
  'a key of control characters': '{"\\u0000\\n":1,"VirtualMachine":{}}',
  'a version from the future': '{"SchemaVersion":{"Major":9,"Minor":0},"VirtualMachine":{}}',
  'a negative size': '{"VirtualMachine":{"ComputeTopology":{"Memory":{"SizeInMB":-1}}}}',
  'a broken number': '{"VirtualMachine":{"ComputeTopology":{"Memory":{"SizeInMB":1.5}}}}',
  'a number of a million digits': `{"VirtualMachine":{"ComputeTopology":{"Memory":{"SizeInMB":${'9'.repeat(1e6)}}}}}`,
  '10 MiB of text': 'x'.repeat(10 * MIB),
  'an owner of 10 MiB': `{"Owner":"${'x'.repeat(10 * MIB)}","VirtualMachine":{}}`,
  'a key of 3 MiB': `{"${'x'.repeat(3 * MIB)}":1}`,
  'a word of 3 MiB': attachment(`"${'x'.repeat(3 * MIB)}"`),
  'an instance id of 3 MiB': `{"VirtualMachine":{"Devices":{"FlexibleIov":{"${'x'.repeat(3 * MIB)}":{}}}}}`,
  'a GUID of 3 MiB': `{"VirtualMachine":{"Devices":{"FlexibleIov":{"${INSTANCE}":{"EmulatorId":"${'0'.repeat(3 * MIB)}"}}}}}`,
  '100,000 arrays in one another': nested(100_000, '[', ']'),
  '100,000 objects in one another': nested(100_000, '{"a":', '}', '1'),
  '100,000 arrays, none closed': '['.repeat(100_000),
  '100,000 arrays in a field': attachment(nested(100_000, '[', ']')),
  '100,000 arrays where anything may be': `{"HostedSystem":${nested(100_000, '[', ']')}}`,
  '100,000 keys': `{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":1`).join()}}`,
  '1,000 unknown keys': `{${Array.from({ length: 1000 }, (_, i) => `"k${i}":1`).join()}}`,
  '100,000 devices': `{"VirtualMachine":{"Devices":{"FlexibleIov":{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":1`).join()}}}}}`,
};

/** An error that can be read: the right function and code, of bounded size, with a place in the document. */
function expectClear(error: HcsError, name: string, code: string): void {
  expect([error.function, error.code]).toEqual([name, code]);
  expect(error.message.length).toBeLessThan(LONGEST);
  expect(error.document?.length).toBeLessThan(LONGEST);
  expect(error.path).toMatch(/^\$/);
}

async function goesOn(rig: Rig): Promise<void> {
  rig.engine.log.length = 0;
  const system = await rig.create('still there');
  await rig.terminate(system);
  expect(rig.engine.log).toEqual(['create', 'terminate']);
}

test.each(Object.keys(texts))(
  'a create document with %s is refused, and nothing is left',
  async (name) => {
    const rig = new Rig();
    const create = (o: HCS_OPERATION): void => {
      rig.core.HcsCreateComputeSystem('vm', texts[name] as string, o, null);
    };
    expectClear(
      await errorOf(() => rig.run(create)),
      'HcsCreateComputeSystem',
      'HCS_E_INVALID_JSON',
    );
    expect(rig.engine.log).toEqual([]);
    expect(await rig.run((o) => rig.core.HcsEnumerateComputeSystems(null, o))).toBe('[]');
    await goesOn(rig);
  },
);

/** Every other call that takes a document, over a system that runs. */
const calls: Record<string, (rig: Rig, system: HCS_SYSTEM, text: string) => Promise<unknown>> = {
  HcsModifyComputeSystem: (rig, s, text) =>
    rig.run((o) => rig.core.HcsModifyComputeSystem(s, o, text, null)),
  HcsGetComputeSystemProperties: (rig, s, text) =>
    rig.run((o) => rig.core.HcsGetComputeSystemProperties(s, o, text)),
  HcsEnumerateComputeSystems: (rig, _, text) =>
    rig.run((o) => rig.core.HcsEnumerateComputeSystems(text, o)),
  HcsShutDownComputeSystem: (rig, s, text) =>
    rig.run((o) => rig.core.HcsShutDownComputeSystem(s, o, text)),
  HcsPauseComputeSystem: (rig, s, text) =>
    rig.run((o) => rig.core.HcsPauseComputeSystem(s, o, text)),
  HcsSaveComputeSystem: (rig, s, text) => rig.run((o) => rig.core.HcsSaveComputeSystem(s, o, text)),
  HcsCrashComputeSystem: (rig, s, text) =>
    rig.run((o) => rig.core.HcsCrashComputeSystem(s, o, text)),
  HcsStartComputeSystem: (rig, s, text) =>
    rig.run((o) => rig.core.HcsStartComputeSystem(s, o, text)),
  HcsResumeComputeSystem: (rig, s, text) =>
    rig.run((o) => rig.core.HcsResumeComputeSystem(s, o, text)),
  HcsTerminateComputeSystem: (rig, s, text) =>
    rig.run((o) => rig.core.HcsTerminateComputeSystem(s, o, text)),
  HcsGetServiceProperties: (rig, _, text) => rig.core.HcsGetServiceProperties(text),
  HcsModifyServiceSettings: (rig, _, text) => rig.core.HcsModifyServiceSettings(text),
  HcsSubmitWerReport: (rig, _, text) => rig.core.HcsSubmitWerReport(text),
};

const others = [
  'no JSON',
  'an array',
  'keys of every object',
  'a key of 3 MiB',
  'an owner of 10 MiB',
  '100,000 arrays in one another',
  '100,000 keys',
];

test.each(Object.keys(calls))('%s refuses such documents, and the system goes on', async (name) => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.start(system);
  for (const text of others) {
    const error = await errorOf(() => calls[name]?.(rig, system, texts[text] as string));
    expectClear(error, name, 'HCS_E_INVALID_JSON');
  }
  expect((await rig.properties(system)).State).toBe('Running');
  expect(rig.engine.log).toEqual(['create', 'start']);
});

test('what is no text is refused', async () => {
  const rig = new Rig();
  const create = (text: unknown) => (o: HCS_OPERATION) => {
    rig.core.HcsCreateComputeSystem('vm', text as string, o, null);
  };
  for (const value of [undefined, 7, {}, Buffer.from('{}')]) {
    expect(await codeOf(() => rig.run(create(value)))).toBe('E_INVALIDARG');
  }
  expect(await codeOf(() => rig.core.HcsModifyServiceSettings(null as never))).toBe('E_INVALIDARG');
});

test.each([
  ['an empty id', ''],
  ['an id of 10,000 characters', 'x'.repeat(10_000)],
  ['an id with a line break', 'vm\nother'],
  ['an id with a zero', 'vm\0'],
  ['an id with half a character', 'vm\ud800'],
  ['an id that is no text', 7],
  ['no id', null],
])('%s is refused by every function that takes one', async (_, value) => {
  const rig = new Rig();
  const id = value as string;
  const error = await errorOf(() => rig.create(id));
  expect([error.function, error.code]).toEqual(['HcsCreateComputeSystem', 'E_INVALIDARG']);
  expect(error.message.length).toBeLessThan(300);
  expect(await codeOf(() => rig.core.HcsOpenComputeSystem(id, 0x1000_0000))).toBe('E_INVALIDARG');
  const space = (o: HCS_OPERATION): void => {
    rig.core.HcsCreateComputeSystemInNamespace(id, 'vm', JSON.stringify(vm()), o, null);
  };
  // No id space is the default one.
  expect(await codeOf(() => rig.run(space))).toBe(id === '' ? 'S_OK' : 'E_INVALIDARG');
});

test.each(['vm one', '../../etc/passwd', 'a,b=c', '%s%n', 'vm"\'\\', 'Ünïcødé 🖥', '-help', ' '])(
  'the id %j is as good as any',
  async (id) => {
    const rig = new Rig();
    const system = await rig.create(id);
    expect(await codeOf(() => rig.create(id))).toBe('HCS_E_SYSTEM_ALREADY_EXISTS');
    const listed = await rig.run((o) =>
      rig.core.HcsEnumerateComputeSystems(JSON.stringify({ Ids: [id] }), o),
    );
    expect(JSON.parse(listed ?? '').map(({ Id }: { Id: string }) => Id)).toEqual([id]);
    await rig.terminate(system);
  },
);

test('of two creates of one id at once, one wins, and the id is free after it', async () => {
  const rig = new Rig();
  const release = rig.engine.hold('create');
  const first = codeOf(() => rig.create('same'));
  const second = codeOf(() => rig.create('same'));
  release();
  expect([await first, await second]).toEqual(['S_OK', 'HCS_E_SYSTEM_ALREADY_EXISTS']);
  expect(rig.engine.machines).toHaveLength(1);
  rig.engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  await new Promise((resolve) => setImmediate(resolve));
  expect(await codeOf(() => rig.create('same'))).toBe('S_OK');
});

test.each([
  ['Container/Memory/SizeInMB', 'Update', 64, 'E_INVALIDARG'],
  ['Container/MappedDirectories', 'Add', { HostPath: '/', ContainerPath: '/' }, 'E_INVALIDARG'],
  ['VirtualMachine/ComputeTopology/Memory', 'Update', 64, 'E_INVALIDARG'],
  ['virtualmachine/computetopology/memory/sizeinmb', 'Update', 64, 'E_INVALIDARG'],
  ['VirtualMachine/Devices/ComPorts', 'Update', {}, 'E_INVALIDARG'],
  ['x'.repeat(3 * MIB), 'Update', {}, 'E_INVALIDARG'],
  ['/'.repeat(MIB), 'Update', {}, 'E_INVALIDARG'],
  ['', 'Update', {}, 'E_INVALIDARG'],
  ['VirtualMachine/ComputeTopology/Memory/SizeInMB', 'Update', '64', 'HCS_E_INVALID_JSON'],
  ['VirtualMachine/ComputeTopology/Memory/SizeInMB', 'Update', -64, 'HCS_E_INVALID_JSON'],
  ['VirtualMachine/ComputeTopology/Memory/SizeInMB', 'Add', 64, 'ERROR_NOT_SUPPORTED'],
  ['VirtualMachine/Devices/ComPorts/0', 'Update', { NamedPip: '' }, 'HCS_E_INVALID_JSON'],
])(
  'a request for %.50s by %s is refused before the engine hears of it',
  async (path, type, value, code) => {
    const rig = new Rig();
    const system = await rig.create();
    const request = { ResourcePath: path, RequestType: type, Settings: value };
    const error = await errorOf(() => rig.modify(system, request));
    expectClear(error, 'HcsModifyComputeSystem', code);
    expect(rig.engine.log).toEqual(['create']);
  },
);
