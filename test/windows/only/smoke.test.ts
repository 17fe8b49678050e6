import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** The package, built as npm installs it; this file lies in dist/test/windows/only. */
const SMOKE = fileURLToPath(new URL('../../../../test/windows/smoke.mjs', import.meta.url));

/** Milliseconds for a run: it makes machines, loads TypeScript and waits for a guest; a loaded machine takes its time. */
const LIMIT = 110_000;

interface Step {
  readonly name: string;
  readonly state: 'ok' | 'note' | 'failed';
  readonly details?: unknown;
  readonly error?: { readonly code?: string; readonly hresult?: string; readonly message: string };
}

let folder: string;

/** Runs smoke.mjs as a user does, in a folder without anything. */
async function smoke(...args: readonly string[]) {
  const file = join(folder, 'report.json');
  const child = spawn(process.execPath, [SMOKE, '--report', file, ...args], { cwd: folder });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const report = JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, unknown>> & {
    readonly steps: readonly Step[];
  };
  return { code, said, report };
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdv smoke '));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('smoke.mjs, over the stand-ins', () => {
  test(
    'makes a machine, attaches edu, and reports every step',
    async () => {
      const { code, said, report } = await smoke();
      const failed = report.steps.filter(({ state }) => state === 'failed');
      expect(failed, said).toEqual([]);
      const names = report.steps.map(({ name }) => name);
      for (const name of [
        'doctor',
        'service properties',
        'list of machines',
        'empty machine: create',
        'empty machine: attach edu',
        'empty machine: start',
        'empty machine: properties',
        'empty machine: terminate',
        'empty machine: see the exit',
        'nothing is left behind',
      ]) {
        expect(names).toContain(name);
      }
      const detach = report.steps.find(({ name }) => name === 'empty machine: detach edu');
      expect(detach).toMatchObject({ state: 'note', error: { hresult: '0x80070032' } });
      expect(report).toMatchObject({
        doctor: { checks: expect.any(Array) },
        events: [{ machine: 'empty machine', type: 'exited' }],
      });
      expect(said).toMatch(/Everything worked\. Report: .*report\.json/);
      expect(code).toBe(0);
    },
    LIMIT,
  );

  test(
    'goes on after a failure, says what it was, and leaves nothing',
    async () => {
      // The stand-in boots no kernel.
      const { code, said, report } = await smoke('--kernel', 'vmlinuz', '--seconds', '1');
      const failed = report.steps.filter(({ state }) => state === 'failed');
      expect(
        failed.map(({ name }) => name),
        said,
      ).toEqual(['Linux: see edu on the console within 1 s']);
      expect(failed[0]?.error?.message).toMatch(/^Cannot find 1234:11e8 on the console/);
      expect(report.steps.at(-1)).toMatchObject({ name: 'nothing is left behind', state: 'ok' });
      expect(said).toMatch(/1 of \d+ steps failed/);
      expect(code).toBe(1);
    },
    LIMIT,
  );
});
