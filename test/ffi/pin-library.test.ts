import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { workerExecArgv } from '../../src/transport/typescript-loader.ts';
import { hasProbe, probeLibrary } from './abi-probe.ts';

describe.runIf(hasProbe && process.platform === 'linux')('a library', () => {
  let path: string;

  beforeAll(() => {
    path = probeLibrary();
  });

  afterAll(() => rmSync(dirname(path), { recursive: true, force: true }));

  test('stays in the process when the thread that loaded it has ended', async () => {
    const module = new URL('../../src/ffi/native-library.ts', import.meta.url);
    const abi = new URL('./abi-probe.ts', import.meta.url);
    const code = `
      const { NativeLibrary } = await import(${JSON.stringify(module.href)});
      const { PROBE_ABI } = await import(${JSON.stringify(abi.href)});
      NativeLibrary.open(${JSON.stringify(path)}, PROBE_ABI).load();`;
    const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
    const worker = new Worker(url, { execArgv: workerExecArgv(true) });
    const ended = await new Promise<number>((resolve, reject) => {
      worker.once('exit', resolve);
      worker.once('error', reject);
    });
    expect(ended).toBe(0);
    expect(readFileSync('/proc/self/maps', 'utf8')).toContain(path);
  });
});
