import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runWine, type Wine, windowsPath, wineEnvironment } from './wine.ts';

let folder: string;
/** A shell in the place of Wine: what is tested here is how programs are run. */
let wine: Wine;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvkit-wine-'));
  wine = { loader: '/bin/sh', server: '/bin/true', version: '8.0', prefix: folder };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(process.platform === 'win32')('a program under Wine', () => {
  test('writes both streams to a file, and its code is known', async () => {
    const output = join(folder, 'output');
    const script = 'echo out; echo err >&2; echo $WINEPREFIX; exit 37';
    const end = await runWine(wine, ['-c', script], { output, timeLimit: 60_000 });
    expect(end).toEqual({ code: 37, timedOut: false });
    expect(readFileSync(output, 'utf8')).toBe(`out\nerr\n${folder}\n`);
  });

  test('is killed after its time', async () => {
    const run = { output: join(folder, 'output'), timeLimit: 50 };
    expect(await runWine(wine, ['-c', 'exec sleep 60'], run)).toEqual({
      code: null,
      timedOut: true,
    });
  });

  test('has its time anew whenever its report has grown, and no longer', async () => {
    const report = join(folder, 'report');
    writeFileSync(report, 'begun');
    const started = performance.now();
    const end = await runWine(wine, ['-c', 'exec sleep 60'], {
      output: join(folder, 'output'),
      timeLimit: 100,
      growing: report,
    });
    expect(end).toEqual({ code: null, timedOut: true });
    // Once for what was there when the time was over, and not again.
    expect(performance.now() - started).toBeGreaterThan(190);
  });

  test('gets nothing of the Node that starts it, nor a display', () => {
    const env = wineEnvironment('/prefix');
    expect(env).toMatchObject({ WINEPREFIX: '/prefix', WINEDEBUG: '-all' });
    // A program that crashes ends at once, with a code: no debugger is started.
    expect(env.WINEDLLOVERRIDES).toMatch(/(?:^|;)winedbg\.exe=(?:;|$)/);
    for (const name of ['DISPLAY', 'NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS']) {
      expect(env).not.toHaveProperty(name);
    }
    expect(windowsPath('/a/b c')).toBe('Z:\\a\\b c');
  });
});
