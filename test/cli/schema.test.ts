import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { editorSchema } from '../../src/cli/documents/editor-schema.ts';
import { OBJECT_TYPES, type ObjectType } from '../../src/hcs/schema/schema-types.ts';
import { documentProblems } from '../../src/hcs/schema/validate.ts';
import { Workplace } from './run-cli.ts';

describe('a JSON Schema for editors', () => {
  const check = (type: ObjectType) =>
    new Ajv({ strict: false, allErrors: true }).compile(editorSchema(type) as object);

  test('of every type is one that stands alone', () => {
    const types = Object.keys(OBJECT_TYPES) as ObjectType[];
    // Whole schemas take long to compile: those that most others are part of say enough of the rest.
    for (const type of types) {
      const schema = editorSchema(type);
      const text = JSON.stringify(schema);
      for (const [, name] of text.matchAll(/"#\/definitions\/(\w+)"/g)) {
        expect(Object.keys(schema.definitions as object)).toContain(name);
      }
    }
    for (const type of ['ComputeSystem', 'ModifySettingRequest', 'ResultError'] as const) {
      expect(check(type)({})).toBe(true);
    }
  });

  test('takes and refuses what the service does', () => {
    const validate = check('ComputeSystem');
    for (const document of [
      { VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 64 } } } },
      { VirtualMachine: { ComputeTopology: { Memory: { SizeInMb: 64 } } } },
      { VirtualMachine: { Devices: { ComPorts: { 0: { NamedPipe: 'x' } } } } },
      { VirtualMachine: { Devices: { ComPorts: { a: { NamedPipe: 'x' } } } } },
      { VirtualMachine: { Devices: { Scsi: { a: { Attachments: { 0: { Type: 'Isso' } } } } } } },
      { SchemaVersion: { Major: -1 } },
    ]) {
      const isRight = documentProblems('ComputeSystem', document).length === 0;
      expect([document, validate(document)]).toEqual([document, isRight]);
    }
  });

  test('says which version brought each field', () => {
    const { properties, definitions } = editorSchema('VirtualMachine') as {
      properties: Record<string, { description: string }>;
      definitions: Record<string, { properties: Record<string, { description: string }> }>;
    };
    expect(properties.Version?.description).toBe('Version, since schema 2.5');
    expect(properties.DebugOptions?.description).toMatch(/not in the published reference$/);
    expect(definitions.ComPort?.properties.NamedPipe?.description).toBe('string, since schema 2.1');
  });
});

describe.concurrent('hdvkit schema', () => {
  test('lists every type', async () => {
    using place = new Workplace();
    const { code, stdout } = await place.run(['schema']);
    const lines = stdout.split('\n').map((line) => line.trim());
    for (const type of Object.keys(OBJECT_TYPES)) expect(lines).toContain(type);
    expect(lines).toContain('AttachmentType');
    expect(code).toBe(0);
  });

  test('shows the fields of a type with their versions and values, and who has it', async () => {
    using place = new Workplace();
    const { code, stdout } = await place.run(['schema', 'Attachment']);
    expect(stdout).toMatch(/^ *Type +AttachmentType +2\.0 +VirtualDisk, Iso, PassThru$/m);
    expect(stdout).toMatch(/^ *ReadOnly +bool +2\.0$/m);
    expect(stdout).toMatch(/^ *IgnoreFlushes +bool +-$/m);
    expect(stdout).toMatch(/^used by .*Scsi\.Attachments/m);
    expect(code).toBe(0);
  });

  test('shows lists of values, and the same as data', async () => {
    using place = new Workplace();
    const { stdout } = await place.run(['schema', 'AttachmentType', '--json']);
    const values = ['VirtualDisk', 'Iso', 'PassThru'];
    expect(JSON.parse(stdout)).toEqual({ type: 'AttachmentType', kind: 'enum', values });
  });

  test('prints a JSON Schema', async () => {
    using place = new Workplace();
    const { code, stdout } = await place.run(['schema', 'Version', '--json-schema']);
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(editorSchema('Version'))));
    expect(code).toBe(0);
  });

  test.for([
    [['ComputeSystm'], /did you mean ComputeSystem\?/],
    [['__proto__'], /Cannot find the type "__proto__"/],
    [['x'.repeat(10_000)], /Cannot find the type "x{57}\.\.\."/],
    [['--json-schema'], /no type is named/],
    [['AttachmentType', '--json-schema'], /it is a list of values/],
  ] as const)('refuses %j', async ([args, message]) => {
    using place = new Workplace();
    const { code, stdout, stderr } = await place.run(['schema', ...args]);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});
