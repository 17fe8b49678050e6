import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AuditEntry, AuditLog } from '../../../src/daemon/access/audit-log.ts';

const ENTRY: AuditEntry = {
  peer: { pid: 42, uid: 1000, gid: 100, program: '/usr/bin/hdvkit' },
  function: 'HcsStartComputeSystem',
  system: { space: '', id: 'vm' },
  result: 0x8037_0105,
  took: 12.5,
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvkit-audit-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lines = (name: string): Record<string, unknown>[] =>
  readFileSync(join(folder, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a line tells who called what for which system, and what came of it', async () => {
  const log = new AuditLog(join(folder, 'new', 'audit.log'));
  log.record(ENTRY);
  await log.flush();
  const [line] = lines('new/audit.log');
  expect(line).toEqual({
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    uid: 1000,
    gid: 100,
    pid: 42,
    program: '/usr/bin/hdvkit',
    function: 'HcsStartComputeSystem',
    space: '',
    system: 'vm',
    result: '0x80370105',
    took: 12.5,
  });
  expect(statSync(join(folder, 'new', 'audit.log')).mode & 0o777).toBe(0o600);
});

test('a caller can put neither lines of its own nor much into it', async () => {
  const log = new AuditLog(join(folder, 'audit.log'));
  const id = `vm\n{"uid":0}\u2028${'x'.repeat(100_000)}`;
  log.record({ ...ENTRY, system: { space: id, id }, peer: { ...ENTRY.peer, program: id } });
  await log.flush();
  const text = readFileSync(join(folder, 'audit.log'), 'utf8');
  expect(text.split('\n')).toHaveLength(2);
  expect(text.length).toBeLessThan(2000);
  expect(lines('audit.log')[0]?.system).toMatch(/^vm\n\{"uid":0\}/);
});

test('a document that comes with an entry is not written', async () => {
  const log = new AuditLog(join(folder, 'audit.log'));
  const withMore = { ...ENTRY, document: '{"Password":"secret"}' };
  log.record(withMore);
  await log.flush();
  expect(readFileSync(join(folder, 'audit.log'), 'utf8')).not.toContain('secret');
});

test('files are begun anew by their size, and the oldest go', async () => {
  const log = new AuditLog(join(folder, 'audit.log'), { size: 1000, files: 2 });
  for (let i = 0; i < 40; i++) {
    log.record({ ...ENTRY, took: i });
    if (i % 3 === 0) await log.flush();
  }
  await log.flush();
  expect(readdirSync(folder).sort()).toEqual(['audit.log', 'audit.log.1', 'audit.log.2']);
  const kept = ['audit.log.2', 'audit.log.1', 'audit.log'].flatMap((name) => {
    expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(1000);
    return lines(name).map(({ took }) => took as number);
  });
  expect(kept).toEqual(kept.map((_, index) => 40 - kept.length + index));
});

test('lines that come faster than the disk are counted', async () => {
  const log = new AuditLog(join(folder, 'audit.log'));
  for (let i = 0; i < 10_050; i++) log.record({ ...ENTRY, took: i });
  await log.flush();
  log.record(ENTRY);
  await log.flush();
  const all = lines('audit.log');
  expect(all.filter(({ function: name }) => name !== undefined)).toHaveLength(10_001);
  expect(all.find(({ lost }) => lost !== undefined)?.lost).toBe(50);
});

test('a path that cannot be written is told once, and once when it can', async () => {
  const warnings: string[] = [];
  writeFileSync(join(folder, 'taken'), '');
  const log = new AuditLog(join(folder, 'taken', 'audit.log'), {
    warn: (text) => warnings.push(text),
  });
  log.record(ENTRY);
  await log.flush();
  log.record(ENTRY);
  await log.flush();
  expect(warnings).toEqual([expect.stringContaining('Cannot write the audit log')]);
  rmSync(join(folder, 'taken'));
  mkdirSync(join(folder, 'taken'));
  log.record(ENTRY);
  await log.flush();
  expect(warnings[1]).toContain('2 lines are lost');
  expect(lines('taken/audit.log')).toMatchObject([{ lost: 2 }, { uid: 1000 }]);
});

test('a full disk costs lines, leaves none by halves, and is over when there is room', () => {
  const isRoot = process.getuid?.() === 0;
  const output = execFileSync(
    'unshare',
    [
      ...(isRoot ? [] : ['--user', '--map-root-user']),
      ...['--mount', process.execPath, '--import', 'tsx', '--conditions=hdvkit-source'],
      fileURLToPath(new URL('full-disk.ts', import.meta.url)),
      folder,
    ],
    { encoding: 'utf8' },
  );
  const { whileFull, after, warnings } = JSON.parse(output) as Record<string, string[]>;
  expect(whileFull!.length).toBeGreaterThan(100);
  for (const line of [...whileFull!, ...after!]) JSON.parse(line);
  const counted = after!.map((line) => JSON.parse(line) as { lost?: number; took?: number });
  const lost = counted.find((line) => line.lost !== undefined)?.lost ?? 0;
  expect(lost).toBeGreaterThan(0);
  expect(counted.filter(({ took }) => took !== undefined)).toHaveLength(2001 - lost);
  expect(warnings).toHaveLength(2);
});
