import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { duplicateKeys } from '../../src/hcs/schema/duplicate-keys.ts';
import { fieldTypes } from '../../src/hcs/schema/json-schema.ts';
import { ENUM_TYPES, OBJECT_TYPES, type ObjectType } from '../../src/hcs/schema/schema-types.ts';
import { documentProblems, parseDocument } from '../../src/hcs/schema/validate.ts';
import { documentTypes } from './document-types.ts';

const types = Object.keys(OBJECT_TYPES) as ObjectType[];

test('has the types of all documents as the table says: run test/hcs/write-document-types.ts', () => {
  const file = new URL('../../src/hcs/schema/documents.ts', import.meta.url);
  expect(readFileSync(file, 'utf8')).toBe(documentTypes());
});

test('compiles every type, and takes a document without fields for each', () => {
  for (const type of types) expect([type, documentProblems(type, {})]).toEqual([type, []]);
  expect([types.length, Object.keys(ENUM_TYPES).length]).toEqual([210, 73]);
});

test.each<[ObjectType, unknown]>([
  [
    'ComputeSystem',
    {
      Owner: 'demo',
      SchemaVersion: { Major: 2, Minor: 5 },
      ShouldTerminateOnLastHandleClosed: true,
      VirtualMachine: {
        StopOnReset: true,
        Chipset: {
          UseUtc: true,
          LinuxKernelDirect: { KernelFilePath: '/vmlinux', KernelCmdLine: 'console=ttyS0' },
        },
        ComputeTopology: {
          Memory: { SizeInMB: 1024, AllowOvercommit: true, HighMmioGapInMB: 2048 },
          Processor: { Count: 2 },
        },
        Devices: {
          ComPorts: { 0: { NamedPipe: '/tmp/com1' } },
          Scsi: { disks: { Attachments: { 0: { Type: 'VirtualDisk', Path: '/root.vhdx' } } } },
          NetworkAdapters: { a: { MacAddress: '00-15-5D-00-00-01' } },
        },
        Services: { Shutdown: {}, Heartbeat: {} },
        GuestState: { GuestStateFilePath: null },
      },
    },
  ],
  ['ComputeSystem', { HostingSystemId: 'vm', HostedSystem: { anything: [1] } }],
  ['System_PropertyQuery', { Queries: { Basic: null, CompatibilityInfo: { x: 1 } } }],
  ['ModifySettingRequest', { ResourcePath: 'a/b', RequestType: 'Update', Settings: 2048 }],
  ['ProcessParameters', { CommandLine: 'x', ConsoleSize: [24, 80], Environment: { A: 'b' } }],
  [
    'SystemExitStatus',
    { Status: -2143878906, ExitType: 'UnexpectedExit', Attribution: [{ TripleFault: {} }] },
  ],
])('takes a %s document that fits', (type, document) => {
  expect(documentProblems(type, document)).toEqual([]);
});

test.each<[ObjectType, unknown, string]>([
  ['Version', { Major: '2' }, '$.Major is "2", not a whole number'],
  ['Version', { Major: 2.5 }, '$.Major is 2.5, not a whole number'],
  ['Version', { Major: -1 }, '$.Major is -1, minimum 0'],
  ['Version', { Major: 2 ** 32 }, '$.Major is 4294967296, maximum 4294967295'],
  ['Version', { major: 2 }, '$.major is not a key of Version: did you mean "Major"?'],
  ['Version', { Patch: 2 }, '$.Patch is not a key of Version: known keys are Major, Minor'],
  ['Version', [], '$ is [], not an object'],
  ['Version', 7, '$ is 7, not an object'],
  ['Version', null, '$ is null, not an object'],
  ['Version', JSON.parse('{"__proto__":1}'), '$.__proto__ is not a key of Version'],
  ['Version', { constructor: {} }, '$.constructor is not a key of Version'],
  ['Keyboard', { Layout: 'de' }, '$.Layout is not a key of Keyboard: no keys are allowed here'],
  ['ProcessParameters', { ConsoleSize: [24] }, '$.ConsoleSize has 1 elements, not 2'],
  [
    'Devices',
    { ComPorts: { com1: {} } },
    '$.ComPorts.com1 has the key "com1", which is not a number',
  ],
  [
    'Devices',
    { NetworkAdapters: { a: { MacAddress: '00155D000001' } } },
    '$.NetworkAdapters.a.MacAddress is "00155D000001", not a MAC address',
  ],
  ['Devices', { Scsi: { 'a-b': 3 } }, '$.Scsi["a-b"] is 3, not an object'],
  [
    'System_PropertyQuery',
    { PropertyTypes: ['Memory', 'Statistic'] },
    '$.PropertyTypes[1] is "Statistic", not one of',
  ],
  [
    'System_PropertyQuery',
    { PropertyTypes: ['Memory', 'Statistic'] },
    'did you mean "Statistics"?',
  ],
])('refuses the %s document %j', (type, document, text) => {
  const problems = documentProblems(type, document).map(
    ({ path, message }) => `${path} ${message}`,
  );
  expect(problems.join('\n')).toContain(text);
  expect(problems).toHaveLength(1);
});

test('finds every problem of a document, each at its place', () => {
  const document = {
    VirtualMachine: {
      Chipset: { LinuxKernelDirect: { KernelFilPath: 'x' } },
      ComputeTopology: { Memory: { SizeInMB: 'x' }, Processor: { Count: 1.5 } },
    },
    Ownr: 'me',
  };
  expect(documentProblems('ComputeSystem', document).map(({ path }) => path)).toEqual([
    '$.Ownr',
    '$.VirtualMachine.Chipset.LinuxKernelDirect.KernelFilPath',
    '$.VirtualMachine.ComputeTopology.Memory.SizeInMB',
    '$.VirtualMachine.ComputeTopology.Processor.Count',
  ]);
});

test('names any misspelt key by its path, and knows which one was meant', () => {
  const keys = types.flatMap((type) =>
    Object.keys(OBJECT_TYPES[type])
      .filter((key) => key.length > 5)
      .map((key) => [type, key] as const),
  );
  const misspelt = fc.tuple(fc.constantFrom(...keys), fc.nat());
  fc.assert(
    fc.property(misspelt, ([[type, key], n]) => {
      const at = n % (key.length - 1);
      const wrong = key.slice(0, at) + key.slice(at + 1);
      fc.pre(fieldTypes(type)?.[wrong] === undefined);
      const [problem, ...others] = documentProblems(type, { [wrong]: null });
      expect(others).toEqual([]);
      expect(problem?.path).toBe(`$.${wrong}`);
      expect(problem?.message).toContain(`did you mean "`);
    }),
  );
});

test('reports a malformed text and all problems in a ResultError', () => {
  expect(() => parseDocument('Version', '{"Major":', 'HcsCreateComputeSystem')).toThrow(
    /HcsCreateComputeSystem failed: Cannot use the Version document: \$ is not JSON/,
  );
  let caught: unknown;
  try {
    parseDocument('Version', '{"Majr":1,"Minor":"x"}', 'HcsCreateComputeSystem');
  } catch (error) {
    caught = error;
  }
  expect(caught).toMatchObject({
    code: 'HCS_E_INVALID_JSON',
    function: 'HcsCreateComputeSystem',
    events: [
      { Message: '$.Majr is not a key of Version: did you mean "Major"?' },
      { Message: '$.Minor is "x", not a whole number' },
    ],
  });
});

test('refuses a key that stands twice in one object', () => {
  const text = `{"VirtualMachine":{"Devices":{"FlexibleIov":{"a":{},"b":{"EmulatorId":"{\\"a\\":"},"a":{}}}}}`;
  expect(() => parseDocument('ComputeSystem', text, 'f')).toThrow(
    '$.VirtualMachine.Devices.FlexibleIov.a stands there twice',
  );
});

test('finds the keys that stand twice, and no others', () => {
  expect(duplicateKeys('{"a":[{"b":1},{"b":1,"c":"b,{","\\u0062":2}],"c":{"a":1}}')).toEqual([
    ['a', '1', 'b'],
  ]);
  expect(duplicateKeys('{"a" : 1, "a" :2}')).toEqual([['a']]);
  expect(duplicateKeys('["a","a",[],[{}],"a"]')).toEqual([]);
  fc.assert(
    fc.property(fc.jsonValue(), fc.boolean(), (value, indented) => {
      const text = JSON.stringify(value, null, indented ? 1 : 0);
      expect(duplicateKeys(text)).toEqual([]);
    }),
  );
});
