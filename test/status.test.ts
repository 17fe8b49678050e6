import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { notImplemented } from '../src/compute/not-implemented.ts';
import { RESOURCE_PATHS } from '../src/compute/resource-paths.ts';
import { COMPUTE_CORE_FUNCTIONS } from '../src/hcs/compute-core.ts';
import { COMPUTE_STORAGE_FUNCTIONS } from '../src/hcs/compute-storage.ts';
import { HCS_EVENT_TYPE } from '../src/hcs/core/constants.ts';
import * as hdv from '../src/hdv/functions.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The callbacks of HDV_PCI_DEVICE_INTERFACE, in the order of the structure. */
const CALLBACKS = [
  'Initialize',
  'Teardown',
  'SetConfiguration',
  'GetDetails',
  'Start',
  'Stop',
  'ReadConfigSpace',
  'WriteConfigSpace',
  'ReadInterceptedMemory',
  'WriteInterceptedMemory',
];

/** What rows of the table of resources begin with. */
const RESOURCE_ROW = '| `VirtualMachine/';

interface Row {
  readonly name: string;
  /** windows, linux, simulated. */
  readonly states: readonly string[];
  readonly proof: string;
  readonly windowsProof: string;
}

const rows: readonly Row[] = readFileSync(join(root, 'docs/status.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `') && !line.startsWith(RESOURCE_ROW))
  .map((line) => {
    const [name = '', ...cells] = line
      .split('|')
      .map((cell) => cell.trim())
      .slice(1, -1);
    const [proof = '', windowsProof = ''] = cells.slice(3);
    return { name: name.replaceAll('`', ''), states: cells.slice(0, 3), proof, windowsProof };
  });

const names = (pattern: RegExp): string[] =>
  rows.map(({ name }) => name).filter((name) => pattern.test(name));

/** Titles of the tests in a file, as they are written there. */
function titlesOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const calls = text.matchAll(/\b(?:test|it)\b[\s\S]{0,400}?\(\s*(['"`])((?:(?!\1)[^\\]|\\.)*)\1/g);
  return [...calls].map((match) => (match[2] as string).replace(/\\(.)/g, '$1'));
}

/** What is wrong with a proof, `file › title`; undefined: the file has that test. */
function problemOf(proof: string): string | undefined {
  const [file = '', title = ''] = proof.split(' › ');
  if (!existsSync(join(root, file))) return `there is no ${file}`;
  return titlesOf(file).includes(title) ? undefined : `${file} has no test "${title}"`;
}

/** Files of test/windows, and their text. */
const windowsTexts: readonly string[] = readdirSync(join(root, 'test/windows'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(root, 'test/windows', file), 'utf8'));

describe('docs/status.md', () => {
  test('has one row for every resource of a machine, with a test that exists', () => {
    const text = readFileSync(join(root, 'docs/status.md'), 'utf8');
    const resources = text.split('\n').filter((line) => line.startsWith(RESOURCE_ROW));
    const cells = resources.map((line) => line.split('|').map((cell) => cell.trim()));
    const paths = RESOURCE_PATHS.filter((path) => path.startsWith('VirtualMachine/'));
    expect(cells.map(([, name = '']) => name.replaceAll('`', '')).sort()).toEqual(
      [...paths].sort(),
    );
    for (const [, , linux = '', , proof = ''] of cells) {
      expect(['yes', 'refused']).toContain(linux);
      expect(problemOf(proof)).toBeUndefined();
    }
  });

  test('has one row for every function, callback and event', () => {
    const functions = [...COMPUTE_CORE_FUNCTIONS, ...COMPUTE_STORAGE_FUNCTIONS];
    expect(names(/^Hcs(?!Event)/).sort()).toEqual([...functions].sort());
    const exported = Object.keys(hdv).filter((name) => name.startsWith('Hdv'));
    expect(exported).toHaveLength(18);
    expect(names(/^Hdv/).sort()).toEqual(exported.sort());
    expect(names(/^(?!Hcs|Hdv)/).sort()).toEqual([...CALLBACKS].sort());
    const events = Object.keys(HCS_EVENT_TYPE).filter((name) => name !== 'HcsEventInvalid');
    expect(names(/^HcsEvent/).sort()).toEqual(events.sort());
  });

  test('knows five states', () => {
    const states = new Set(rows.flatMap(({ states }) => states));
    expect([...states].sort()).toEqual(['E_NOTIMPL', 'later', 'never', 'stand-in', 'yes']);
  });

  test('says E_NOTIMPL of exactly what the service answers so', () => {
    const refused = rows.filter(
      ({ name, states }) => /^Hcs(?!Event)/.test(name) && states[1] === 'E_NOTIMPL',
    );
    expect(refused.map(({ name }) => name).sort()).toEqual(
      [...notImplemented, ...COMPUTE_STORAGE_FUNCTIONS].sort(),
    );
    for (const { states } of refused) expect(states[2]).toBe('E_NOTIMPL');
  });

  test('says stand-in of nothing that no test for Windows names', () => {
    const named = (name: string): boolean =>
      windowsTexts.some((text) => new RegExp(`\\b${name}\\b`, 'i').test(text));
    const wrong = rows.filter(({ name, states }) => states[0] === 'stand-in' && !named(name));
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  test('names a test that runs over the stand-ins for everything that is stand-in', () => {
    const runsThere = (file: string): boolean =>
      file.startsWith('test/windows/') ||
      windowsTexts.some((text) => text.includes(`from '${file.replace(/^test/, '..')}'`));
    const wrong = rows.flatMap(({ name, states, windowsProof }) => {
      if (states[0] !== 'stand-in') return windowsProof === '' ? [] : [`${name} is not stand-in`];
      const [file = ''] = windowsProof.split(' › ');
      const problem = runsThere(file) ? problemOf(windowsProof) : `${file} does not run there`;
      return problem === undefined ? [] : [`${name}: ${problem}`];
    });
    expect(wrong).toEqual([]);
  });

  test('names a test that exists for everything that is more than a plan', () => {
    const wrong = rows.flatMap(({ name, states, proof }) => {
      const isPlan = states.every((state) => state === 'later');
      if (proof === '') return isPlan ? [] : [`${name} has no proof`];
      const problem = problemOf(proof);
      return problem === undefined ? [] : [`${name}: ${problem}`];
    });
    expect(wrong).toEqual([]);
  });
});
