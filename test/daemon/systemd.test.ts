import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createHcsdProgram } from '../../src/cli/hcsd/program.ts';

const path = (name: string): string =>
  fileURLToPath(new URL(`../../docs/systemd/${name}`, import.meta.url));
const unit = (name: string): string => readFileSync(path(name), 'utf8');

test('the socket unit opens the socket of root for root alone', () => {
  const text = unit('hcsd.socket');
  expect(text).toContain('\nListenStream=/run/hdvkit/hcsd.sock\n');
  expect(text).toContain('\nSocketMode=0600\n');
  expect(text).toContain('\nDirectoryMode=0700\n');
});

test('the service unit starts hcsd with options that it has', async () => {
  const [, options = ''] =
    /^ExecStart=\/usr\/bin\/env hcsd (.*)$/m.exec(unit('hcsd.service')) ?? [];
  const seen: unknown[] = [];
  const program = createHcsdProgram(async (parsed) => void seen.push(parsed));
  await program.parseAsync(options.split(' '), { from: 'user' });
  expect(seen).toEqual([expect.objectContaining({ state: '/var/lib/hdvkit' })]);
});

test('a group is let in by units for the same daemon, with one group', async () => {
  const socket = unit('group/hcsd.socket.conf');
  const [, group = ''] = /^SocketGroup=(\w+)$/m.exec(socket) ?? [];
  expect(socket).toContain('\nSocketMode=0660\n');
  const [, options = ''] =
    /^ExecStart=\nExecStart=\/usr\/bin\/env hcsd (.*)$/m.exec(unit('group/hcsd.service.conf')) ??
    [];
  const seen: unknown[] = [];
  const program = createHcsdProgram(async (parsed) => void seen.push(parsed));
  await program.parseAsync(options.split(' '), { from: 'user' });
  expect(seen).toEqual([expect.objectContaining({ group, state: '/var/lib/hdvkit' })]);
});

test('systemd accepts the units, with and without a group, where it is there to say so', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hcsu-'));
  for (const name of ['hcsd.socket', 'hcsd.service']) {
    cpSync(path(name), join(folder, name));
    mkdirSync(join(folder, `${name}.d`));
    cpSync(path(`group/${name}.conf`), join(folder, `${name}.d`, 'group.conf'));
  }
  const grouped = ['hcsd.socket', 'hcsd.service'].map((name) => join(folder, name));
  const { error, status, stderr } = spawnSync(
    'systemd-analyze',
    ['verify', path('hcsd.socket'), path('hcsd.service'), ...grouped],
    { encoding: 'utf8' },
  );
  rmSync(folder, { recursive: true });
  // A machine without systemd has nobody to ask.
  if (error !== undefined) expect(error).toMatchObject({ code: 'ENOENT' });
  else expect([status, stderr]).toEqual([0, expect.anything()]);
});
