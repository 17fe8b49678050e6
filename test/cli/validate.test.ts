import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readPath, writePath } from '../../src/cli/documents/document-path.ts';
import { placedProblems } from '../../src/cli/documents/document-problems.ts';
import { DEEPEST_DOCUMENT, DocumentText } from '../../src/cli/documents/document-text.ts';
import { hostProblems } from '../../src/cli/documents/host-problems.ts';
import { tinyKernel } from '../guest/tiny-kernel.ts';
import { Workplace } from './run-cli.ts';

const read = (text: string): DocumentText => new DocumentText(text, 'it.json');
const found = (text: string): readonly string[] =>
  placedProblems('ComputeSystem', read(text)).map(
    ({ line, column, path, message }) => `${line}:${column} ${path} ${message}`,
  );

/** A document with three mistakes, two of which are near to what was meant. */
const WRONG = `{
  // What everybody misspells.
  "VirtualMachine": {
    "ComputeTopology": { "Memory": { "SizeInMb": 64 } },
    /* a port */
    "Devices": { "Scsi": { "a/b": { "Attachments": { "0": { "Type": "Isso" } } } } },
    "StopOnReset": "yes",
  },
}
`;

describe('the text of a document', () => {
  test('is read with comments, trailing commas and a byte order mark', () => {
    const document = read('\ufeff{ "a": [1, /* two */ 2, ], // end\r\n "b": "//no comment", }\n');
    expect(document.problems).toEqual([]);
    expect(document.value).toEqual({ a: [1, 2], b: '//no comment' });
  });

  test('is what JSON.parse makes of it, where it is JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2, '\t'), (value, space) => {
        const text = JSON.stringify(value, null, space);
        expect(read(text).value).toEqual(JSON.parse(text));
      }),
    );
  });

  test.for([
    ['', 1, 1, 'lacks a value'],
    ['{ "a": 1\n  "b": 2 }', 2, 3, 'lacks a comma'],
    ['{ "a" 1 }', 1, 7, 'lacks a colon'],
    ['{ a: 1 }', 1, 3, 'has a word that is no JSON'],
    ['{ "a": "b\n" }', 1, 8, 'a string that does not end'],
    ['{ "a": "C:\\data" }', 1, 8, 'an escape that JSON does not know'],
    ['{\r\n"a": {', 2, 7, 'lacks a closing brace'],
    ['{} {}', 1, 4, 'goes on after the document has ended'],
    ['{ "a": /* ', 1, 8, 'a comment that does not end'],
  ] as const)('says where %j is no JSON', ([text, line, column, message]) => {
    const { problems, value } = read(text);
    expect(value).toBeUndefined();
    const at = problems.filter((each) => each.message.includes(message));
    expect(at.map((each) => [each.line, each.column])).toContainEqual([line, column]);
  });

  test('names keys that stand twice, each with its place', () => {
    const { problems } = read('{ "a": { "b": 1, "c": 2,\n "b": 3 },\n "a": 4 }');
    expect(problems.map(({ line, column, path }) => [line, column, writePath(path)])).toEqual([
      [2, 2, '$.a.b'],
      [3, 2, '$.a'],
    ]);
  });

  test('keeps keys that objects have of their own', () => {
    const text = '{ "__proto__": { "x": 1 }, "constructor": 2 }';
    expect(Object.keys(read(text).value as object)).toEqual(['__proto__', 'constructor']);
    expect(found(text).map((line) => line.split(' is not')[0])).toEqual([
      '1:3 $.__proto__',
      '1:28 $.constructor',
    ]);
  });

  test.for(['[', '{"a":'])(
    'is refused where %s nests too deeply, however much there is',
    (open) => {
      expect(() => read(open.repeat(800_000))).toThrow(
        `Cannot read it.json as a document: objects and arrays are nested more than ${DEEPEST_DOCUMENT} deep in line 1`,
      );
    },
  );

  test('is refused when it is too large', () => {
    expect(() => read(`{ "Owner": "${'x'.repeat(10 * 1024 * 1024)}" }`)).toThrow(
      /it has 104857\d\d characters, and documents have at most 4194304/,
    );
  });
});

test('a JSON path is read as it is written', () => {
  const key = fc.oneof(fc.string(), fc.nat(1000), fc.stringMatching(/^\d{1,18}$/));
  fc.assert(
    fc.property(fc.array(key), (path) => {
      // Keys that are numbers and indexes are written alike.
      expect(readPath(writePath(path)).map(String)).toEqual(path.map(String));
    }),
  );
});

describe('problems of a document', () => {
  test('stand where the key stands, with what was meant', () => {
    expect(found(WRONG)).toEqual([
      '4:38 $.VirtualMachine.ComputeTopology.Memory.SizeInMb is not a key of VirtualMachine_Memory: did you mean "SizeInMB"?',
      '6:61 $.VirtualMachine.Devices.Scsi["a/b"].Attachments[0].Type is "Isso", not one of VirtualDisk, Iso, PassThru; did you mean "Iso"?',
      '7:5 $.VirtualMachine.StopOnReset is "yes", not true or false',
    ]);
    expect(placedProblems('ComputeSystem', read(WRONG))).toMatchObject([
      { suggestion: 'SizeInMB', value: 64 },
      { suggestion: 'Iso', value: 'Isso' },
      { value: 'yes' },
    ]);
  });

  test('of a host are all that it cannot honour, not the first only', () => {
    const document = read(`{ "VirtualMachine": {
      "GuestState": { "GuestStateFilePath": "/x" },
      "ComputeTopology": { "Processor": { "Count": 1 } },
      "Devices": { "Scsi": {},
        "Plan9": {} } } }`);
    const problems = hostProblems('simulated', document);
    expect(problems.map(({ line, column, path }) => [line, column, path])).toEqual([
      [2, 7, '$.VirtualMachine.GuestState'],
      [4, 20, '$.VirtualMachine.Devices.Scsi'],
      [5, 9, '$.VirtualMachine.Devices.Plan9'],
    ]);
    expect(problems[0]?.message).toMatch(
      /^cannot be honoured: guest programs run on processors, memory and PCI alone/,
    );
  });

  test('of a host stand at what lacks a field, where the field is missing', () => {
    const [problem] = hostProblems('linux', read('{\n "VirtualMachine": { "Chipset":\n {} } }'));
    expect(problem).toMatchObject({
      line: 2,
      column: 22,
      path: '$.VirtualMachine.Chipset.LinuxKernelDirect.KernelFilePath',
    });
    expect(problem?.message).toMatch(/^is missing: /);
  });
});

describe.concurrent('hdvkit validate', () => {
  test('takes paths as they are meant in the current folder, as hcs create does', async () => {
    using place = new Workplace();
    writeFileSync(join(place.path, 'kernel'), tinyKernel());
    const document = (KernelFilePath: string, NamedPipe: string): string =>
      JSON.stringify({
        VirtualMachine: {
          Chipset: { LinuxKernelDirect: { KernelFilePath } },
          Devices: { ComPorts: { 0: { NamedPipe } } },
        },
      });
    place.write('it.json', document('kernel', 'com1'));
    place.write('windows.json', document('C:\\vm\\vmlinux', '\\\\.\\pipe\\com1'));
    place.write('wrong.json', document('../kernel', 'com1'));
    const files = ['it.json', 'windows.json', 'wrong.json'];
    const { code, stdout } = await place.run(['validate', ...files, '--host', 'linux']);
    expect(stdout).toContain('it.json: fits the schema of ComputeSystem, and the host linux can');
    expect(stdout).toMatch(
      /^windows\.json:1:\d+: .*KernelFilePath is "C:\\\\?vm.*": use an absolute/m,
    );
    const elsewhere = join(place.path, '../kernel');
    expect(stdout).toContain(`KernelFilePath is "${elsewhere}": there is no such file`);
    expect(code).toBe(1);
  });

  test('prints every problem as compilers do, and ends with 1', async () => {
    using place = new Workplace();
    place.write('wrong.json', WRONG);
    place.write('right.json', '{ "VirtualMachine": {} } // fine');
    const { code, stdout, stderr } = await place.run(['validate', 'wrong.json', 'right.json']);
    expect(stdout).toMatch(/^wrong\.json:4:38: \$\.VirtualMachine\..*did you mean "SizeInMB"\?$/m);
    expect(stdout).toMatch(/^right\.json: fits the schema of ComputeSystem$/m);
    expect(stderr).toBe('wrong.json: 3 problems\n');
    expect(code).toBe(1);
  });

  test('prints the same as data, of standard input and of another type', async () => {
    using place = new Workplace();
    const args = ['validate', '-', '--type', 'ModifySettingRequest', '--json'];
    const { code, stdout } = await place.run(args, { input: '{ "RequestTyp": "Add" }' });
    expect(JSON.parse(stdout)).toEqual([
      {
        file: '-',
        problems: [
          {
            line: 1,
            column: 3,
            path: '$.RequestTyp',
            message: 'is not a key of ModifySettingRequest: did you mean "RequestType"?',
            suggestion: 'RequestType',
            value: 'Add',
          },
        ],
      },
    ]);
    expect(code).toBe(1);
  });

  test('asks a host what it cannot honour', async () => {
    using place = new Workplace();
    place.write('it.json', '{ "VirtualMachine": {\n  "Devices": { "Scsi": {} } } }');
    const { code, stdout } = await place.run(['validate', 'it.json', '--host', 'simulated']);
    expect(stdout).toMatch(/^it\.json:2:16: \$\.VirtualMachine\.Devices\.Scsi cannot be honoured/);
    expect(code).toBe(1);
  });

  test('ends with 0 when every document fits', async () => {
    using place = new Workplace();
    place.write('it.json', '{ "VirtualMachine": {} }');
    const { code, stdout } = await place.run(['validate', 'it.json', '--host', 'simulated']);
    expect(stdout).toContain('and the host simulated can honour it');
    expect(code).toBe(0);
  });

  test('checks the other files when one cannot be read, and ends with 2', async () => {
    using place = new Workplace();
    place.write('right.json', '{ "VirtualMachine": {} }');
    place.write('deep.json', '['.repeat(100_000));
    writeFileSync(join(place.path, 'binary.json'), Buffer.from([0x7b, 0xff, 0xfe, 0x7d]));
    const files = ['none.json', '.', 'deep.json', 'binary.json', 'right.json'];
    const { code, stdout, stderr } = await place.run(['validate', ...files]);
    expect(stderr).toMatch(/^hdvkit: Cannot read the document none\.json: ENOENT/m);
    expect(stderr).toMatch(/^hdvkit: Cannot read the document \.: EISDIR/m);
    expect(stderr).toMatch(
      /^hdvkit: Cannot read deep\.json .*nested more than 100 deep in line 1$/m,
    );
    expect(stderr).toMatch(/^hdvkit: Cannot read binary\.json as a document: it is not UTF-8$/m);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).toBe('right.json: fits the schema of ComputeSystem\n');
    expect(code).toBe(2);
  });

  test.for([
    [['x.json', '--type', 'ComputSystem'], /did you mean ComputeSystem\?/],
    [['x.json', '--type', 'AttachmentType'], /it is a list of values/],
    [['x.json', '--host', 'windows'], /checks one only when it creates the system/],
    [['-', '-'], /Cannot read standard input twice/],
    [['x.json', '--type', 'Version', '--host', 'linux'], /checks ComputeSystem documents/],
  ] as const)('refuses %j', async ([args, message]) => {
    using place = new Workplace();
    const { code, stdout, stderr } = await place.run(['validate', ...args]);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});

test('what a document says does not steer the terminal', async () => {
  using place = new Workplace();
  place.write('it.json', JSON.stringify({ '\u001b[31mred\u009b': 1 }));
  const { stdout } = await place.run(['validate', 'it.json']);
  for (const character of ['\u001b', '\u009b']) expect(stdout).not.toContain(character);
  expect(stdout).toContain('\\u001b[31mred');
});
