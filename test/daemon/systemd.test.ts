import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
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

test('systemd accepts the units, where it is there to say so', () => {
  const { error, status, stderr } = spawnSync(
    'systemd-analyze',
    ['verify', path('hcsd.socket'), path('hcsd.service')],
    { encoding: 'utf8' },
  );
  // A machine without systemd has nobody to ask.
  if (error !== undefined) expect(error).toMatchObject({ code: 'ENOENT' });
  else expect([status, stderr]).toEqual([0, expect.anything()]);
});
