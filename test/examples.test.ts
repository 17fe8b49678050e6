import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as hcs from '../src/hcs.ts';
import * as hdv from '../src/hdv.ts';
import * as hdvkit from '../src/index.ts';
import * as testing from '../src/testing.ts';
import { collectExamples, type ExampleBlock, unfencedExamples } from './example-blocks.ts';
import type { ExampleOutcome } from './run-examples.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const blocks = collectExamples(root);

/** Names that an example may use without importing them: what the entries export, and the sample device. */
const known: Record<string, string> = Object.fromEntries(
  [
    ['hdvkit/hdv', hdv] as const,
    ['hdvkit/hcs', hcs] as const,
    ['hdvkit/testing', testing] as const,
    ['hdvkit', hdvkit] as const,
  ].flatMap(([entry, module]) => Object.keys(module).map((name) => [name, entry])),
);
for (const name of ['EduDevice', 'EDU']) known[name] = join(root, 'sample-devices/edu.ts');

/** Adds the imports that an example leaves out, and turns `expression; // value` into a check of the value. */
function complete(code: string): string {
  const imported = [...code.matchAll(/import\s+(?:type\s+)?\{([^}]*)\}/g)].flatMap((match) =>
    (match[1] as string).split(',').map((name) => name.replace(/^\s*type\s|\s/g, '')),
  );
  const declared = [...code.matchAll(/\b(?:const|let|class|function|interface|type)\s+(\w+)/g)].map(
    (match) => match[1] as string,
  );
  const taken = new Set([...imported, ...declared]);
  const bare = code.replace(/\/\/.*$/gm, '').replace(/'[^'\n]*'/g, "''");
  const used = new Set(
    [...bare.matchAll(/(?<![.\w#])([A-Za-z_]\w*)/g)].map((match) => match[1] as string),
  );
  const imports = [...used]
    .filter((name) => name in known && !taken.has(name))
    .map((name) => `import { ${name} } from '${known[name]}';`);
  const checked = code.replace(
    /^(\s*)(?!console\.log|const |let |return |if |for |import |export |\/\/|\*)(\S.*[^{,(]); \/\/ (0x[\da-f]+|-?\d+|true|false|'[^']*'|\[.*\])$/gm,
    '$1console.log($2); // $3',
  );
  return `${imports.join('\n')}\n${checked}\nexport {};\n`;
}

let folder: string;
const paths = new Map<ExampleBlock, string>();
let outcomes: Map<string, ExampleOutcome>;

describe('examples', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hx-'));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(root, join(folder, 'node_modules/hdvkit'));
    symlinkSync(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: {
          noUnusedLocals: false,
          rewriteRelativeImportExtensions: false,
          allowImportingTsExtensions: true,
          types: ['node'],
        },
        include: ['*.ts'],
      }),
    );
    blocks.forEach((block, index) => {
      const path = join(folder, block.fileName ?? `example-${index}.ts`);
      writeFileSync(path, complete(block.code));
      paths.set(block, path);
    });
    const run = spawnSync(
      process.execPath,
      [
        '--import',
        'tsx',
        '--conditions=hdvkit-source',
        join(root, 'test/run-examples.ts'),
        ...blocks.filter(({ runs }) => runs).map((block) => paths.get(block) as string),
      ],
      {
        cwd: root,
        encoding: 'utf8',
        env: { ...process.env, HDVKIT_HOST: 'simulated', NO_COLOR: '1' },
      },
    );
    const lines = run.stdout.split('\n').filter((line) => line.startsWith('{'));
    const found = lines.map((line) => JSON.parse(line) as ExampleOutcome);
    outcomes = new Map(found.map((outcome) => [outcome.path, outcome]));
    if (run.status !== 0) throw new Error(`The runner of examples failed: ${run.stderr}`);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('there are some', () => {
    expect(blocks.filter(({ runs }) => runs).length).toBeGreaterThan(4);
  });

  test('every @example is a fenced block, which is executed', () => {
    expect(unfencedExamples(root)).toEqual([]);
  });

  test('all of them compile', () => {
    const { stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], {
      encoding: 'utf8',
    });
    const names = new Map([...paths].map(([block, path]) => [path, block]));
    const problems = stdout
      .split('\n')
      .filter((line) => {
        const file = join(folder, /^([\w.-]+\.ts)\(/.exec(line.replace(/^.*\//, ''))?.[1] ?? '');
        const block = names.get(file);
        // A `no-run` example may speak of a machine or a device that it does not make.
        return block !== undefined && (block.runs || !/TS(2304|18004)/.test(line));
      })
      .map((line) => {
        const file = join(folder, /([\w.-]+\.ts)\(/.exec(line)?.[1] ?? '');
        return `${names.get(file)?.place}: ${line}`;
      });
    expect(problems).toEqual([]);
  });

  test.each(blocks.filter(({ runs }) => runs))('$place runs, and prints what it says', (block) => {
    const path = paths.get(block) as string;
    const outcome = outcomes.get(path);
    expect(outcome?.error).toBeUndefined();
    const expected = [...complete(block.code).matchAll(/^\s*console\.log\(.*\); \/\/ (.*)$/gm)].map(
      (match) => match[1] as string,
    );
    const printed = outcome?.printed.slice(0, expected.length) ?? [];
    expect(printed.map((text, index) => normalise(text, expected[index] as string))).toEqual(
      expected,
    );
  });
});

/** A number may be written in hexadecimal in an example, and a text in quotes. */
function normalise(printed: string, expected: string): string {
  if (/^0x[\da-f]+$/.test(expected) && Number(printed) === Number(expected)) return expected;
  return expected === `'${printed}'` ? expected : printed;
}
