import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { CrashReportOptions } from '../../src/compute/crash-reports.ts';
import { codeOf, errorOf, Rig } from './recording-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'hdvkit-crash-reports-'));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;

function service(options: Partial<CrashReportOptions> = {}) {
  const folder = join(root, String(count++), 'reports');
  const { core } = new Rig({ crashReports: { folder, ...options } });
  return {
    folder,
    submit: (report: unknown) => core.HcsSubmitWerReport(JSON.stringify(report)),
    reports: () => readdirSync(folder).sort(),
  };
}

test('a report has the document, the log and the dump, for its owner alone', async () => {
  const { folder, submit, reports } = service();
  const dump = join(root, 'memory.dmp');
  writeFileSync(dump, 'dump');
  const report = {
    SystemId: '../../odd\u0000 id',
    CrashLog: 'Kernel panic',
    CrashParameters: [1, 2, 3, 4, 5],
    Status: -2143878906,
    WindowsCrashInfo: { DumpFile: dump },
  };
  await submit(report);
  const [name = ''] = reports();
  const place = join(folder, name);
  expect(readdirSync(place).sort()).toEqual(['crash.log', 'dump', 'report.json']);
  expect(readFileSync(join(place, 'crash.log'), 'utf8')).toBe('Kernel panic');
  rmSync(dump);
  expect(readFileSync(join(place, 'dump'), 'utf8')).toBe('dump');
  const written = JSON.parse(readFileSync(join(place, 'report.json'), 'utf8'));
  expect(written.CrashReport).toEqual(report);
  expect(Date.parse(written.SubmittedAt)).toBeGreaterThan(0);
  const modes = [folder, place].map((path) => statSync(path).mode & 0o777);
  expect(modes).toEqual([0o700, 0o700]);
  expect(statSync(join(place, 'report.json')).mode & 0o777).toBe(0o600);
});

test('a report with an empty document is a report', async () => {
  const { folder, submit, reports } = service();
  await submit({});
  expect(readdirSync(join(folder, reports()[0] ?? ''))).toEqual(['report.json']);
});

test('only the newest reports are kept', async () => {
  const { folder, submit, reports } = service({ limit: 3 });
  for (let i = 0; i < 5; i++) await submit({ CrashLog: String(i) });
  const logs = reports().map((name) => readFileSync(join(folder, name, 'crash.log'), 'utf8'));
  expect(logs).toEqual(['2', '3', '4']);
});

test('a dump that is missing is named, and leaves no report', async () => {
  const { submit, reports } = service();
  const dump = join(root, 'none.dmp');
  const error = await errorOf(() => submit({ WindowsCrashInfo: { DumpFile: dump } }));
  expect([error.function, error.code]).toEqual(['HcsSubmitWerReport', 'ERROR_FILE_NOT_FOUND']);
  expect(error.reason).toContain(dump);
  expect(reports()).toEqual([]);
});

test('a folder that cannot be written is named', async () => {
  const file = join(root, 'file');
  writeFileSync(file, '');
  const { submit } = service({ folder: join(file, 'reports') });
  expect(await codeOf(() => submit({}))).toBe('ERROR_PATH_NOT_FOUND');
});

test('a hook program is run with the folder of each report', async () => {
  const hook = join(root, 'hook');
  writeFileSync(hook, '#!/bin/sh\ncat "$1/crash.log"\necho done >&2\n', { mode: 0o700 });
  const { folder, submit, reports } = service({ hook });
  await submit({ CrashLog: 'panic\n' });
  const log = readFileSync(join(folder, reports()[0] ?? '', 'hook.log'), 'utf8');
  expect(log).toBe('panic\ndone\n');
});

test('a hook program that fails, hangs or is not there is told of, and the report is kept', async () => {
  const failing = join(root, 'failing');
  writeFileSync(failing, '#!/bin/sh\nexit 3\n', { mode: 0o700 });
  const hanging = join(root, 'hanging');
  writeFileSync(hanging, '#!/bin/sh\nexec sleep 600\n', { mode: 0o700 });
  for (const [options, code, words] of [
    [{ hook: failing }, 'E_FAIL', 'it ended with code 3'],
    [{ hook: hanging, hookLimitMs: 20 }, 'ERROR_TIMEOUT', 'SIGKILL'],
    [{ hook: join(root, 'nothing') }, 'E_FAIL', 'ENOENT'],
  ] as const) {
    const { folder, submit, reports } = service(options);
    const error = await errorOf(() => submit({}));
    expect(error.code).toBe(code);
    expect(error.reason).toContain(words);
    expect(readdirSync(join(folder, reports()[0] ?? '')).sort()).toEqual([
      'hook.log',
      'report.json',
    ]);
  }
});

test('a document that is no crash report is refused, and a service without a folder takes none', async () => {
  const { submit } = service();
  expect(await codeOf(() => submit({ CrashLogs: '' }))).toBe('HCS_E_INVALID_JSON');
  expect(await codeOf(() => submit([]))).toBe('HCS_E_INVALID_JSON');
  expect(await codeOf(() => new Rig().core.HcsSubmitWerReport('{}'))).toBe('ERROR_NOT_SUPPORTED');
});
