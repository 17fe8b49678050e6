import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { StoredReport } from '../../bench/report.ts';
import { ended, until, Workplace } from '../cli/run-cli.ts';
import { type ReadScript, ScriptedServer } from './scripted-server.ts';

/** Milliseconds that a server has to answer which does not. */
const TIMEOUT = '2000';

/** The same of one that does: more than a busy machine needs, as the servers are on this thread. */
const PATIENT = ['--timeout', '60000'];

/** The command line of a process; empty when it has ended. */
function commandOf(id: string): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** Runs `hdvkit bench vfio-user` against a server with this script. */
async function measure(read: ReadScript, args: readonly string[] = []) {
  using place = new Workplace();
  const socket = join(place.path, 's.sock');
  await using _server = await ScriptedServer.listen(socket, read);
  const result = await place.run([
    'bench',
    'vfio-user',
    '--socket',
    socket,
    '--rounds',
    '1',
    '--timeout',
    TIMEOUT,
    ...args,
  ]);
  return { ...result, leftovers: place.leftovers };
}

describe.runIf(process.platform === 'linux').concurrent('hdvkit bench vfio-user', () => {
  test('compares the sample device with the server in C, and stores every sample', async () => {
    using place = new Workplace();
    const file = join(place.path, 'deep/vfio-user.json');
    const args = ['bench', 'vfio-user', '--rounds', '2', '--json', file, ...PATIENT];
    const { code, stdout, stderr } = await place.run(args);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('hdvkit: 1234:11e8, class 00ff00, revision 10');
    expect(stdout).toContain('C: 1234:11e9, class 00ff00, revision 01');
    expect(stdout).toMatch(/read, p50: hdvkit to C +[\d.]+ × {2}\([\d.]+ to [\d.]+, 2 rounds\)/);
    const report = JSON.parse(readFileSync(file, 'utf8')) as StoredReport;
    expect(report.machine).toMatchObject({ node: process.version });
    expect(report.machine.compiler).toMatch(/\d+\.\d+/);
    expect(report.subjects).toMatchObject({ C: '1234:11e9, class 00ff00, revision 01' });
    const names = report.measurements.map(({ name }) => name);
    expect(names).toContain('posted writes, 200 in a message: C');
    for (const { name, unit, samples } of report.measurements) {
      expect(samples, name).toHaveLength(2);
      expect(
        samples.every((sample) => sample > 0),
        name,
      ).toBe(true);
      expect(unit).not.toBe('');
    }
    expect(place.leftovers).toEqual([]);
  });

  test('measures two servers in the same rounds, and only reads when told so', async () => {
    using place = new Workplace();
    const versus = join(place.path, 'v.sock');
    await using _server = await ScriptedServer.listen(versus, () => 'answer');
    const args = ['--versus', versus, '--read-only', '--rounds', '1', ...PATIENT];
    const { code, stdout, stderr } = await place.run(['bench', 'vfio-user', ...args]);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain(`${versus}: 1212:1212, class 121212, revision 12`);
    expect(stdout).toContain(`read, p50: hdvkit to ${versus}`);
    expect(stdout).not.toContain('write');
  });

  test('ends what it started when it is interrupted', async () => {
    using place = new Workplace();
    const child = place.start(['bench', 'vfio-user', '--rounds', '1000', ...PATIENT]);
    const result = ended(child);
    await until(child.stderr, 'measure: 0 %');
    child.kill('SIGINT');
    const { code, stdout, stderr } = await result;
    expect([code, stdout], stderr).toEqual([130, '']);
    expect(stderr).not.toContain('hdvkit: Cannot');
    expect(place.leftovers).toEqual([]);
    // Both servers had this folder on their command lines.
    const mine = readdirSync('/proc').filter(
      (id) => /^\d+$/.test(id) && commandOf(id).includes(place.temporary),
    );
    expect(mine).toEqual([]);
  });

  test('does not take a signal for the end of the server', async () => {
    using place = new Workplace();
    const socket = join(place.path, 's.sock');
    let hang: () => void = () => undefined;
    const hangs = new Promise<void>((resolve) => {
      hang = resolve;
    });
    await using _server = await ScriptedServer.listen(socket, (reads) => {
      if (reads < 100) return 'answer';
      hang();
      return 'hang';
    });
    const child = place.start(['bench', 'vfio-user', '--socket', socket, '--timeout', TIMEOUT]);
    const result = ended(child);
    await Promise.race([hangs, result]);
    child.kill('SIGINT');
    expect((await result).stderr).toContain('REGION_READ: it did not answer within 2000 ms');
  });

  test('says that there is no server', async () => {
    using place = new Workplace();
    const { code, stdout, stderr } = await place.run([
      'bench',
      'vfio-user',
      '--socket',
      '/nowhere/s.sock',
    ]);
    expect(stderr).toBe(
      'hdvkit: Cannot connect to /nowhere/s.sock: there is no such socket; start the server first\n',
    );
    expect([code, stdout]).toEqual([2, '']);
  });

  const broken: readonly [string, ReadScript, string][] = [
    ['hangs', (reads) => (reads < 100 ? 'answer' : 'hang'), 'it did not answer within 2000 ms'],
    ['fails the read', () => 'fail', 'it answers with EINVAL'],
    ['goes', (reads) => (reads < 100 ? 'answer' : 'close'), 'it has closed the connection'],
    ['sends a short answer', () => 'short', 'its answer has 32 bytes and not 36'],
  ];
  test.each(broken)('says of a server that %s', async (how, script, reason) => {
    const { code, stderr, leftovers } = await measure(script, how === 'hangs' ? [] : PATIENT);
    expect(stderr).toMatch(/hdvkit: Cannot measure the server at .*s\.sock: REGION_READ: /);
    expect(stderr).toContain(reason);
    expect(code).toBe(2);
    expect(leftovers).toEqual([]);
  });

  test('says which regions there are when the one asked for is not', async () => {
    const { code, stderr } = await measure(() => 'answer', ['--region', '2']);
    expect(stderr).toContain('its device has no region 2, but 0 (0x1000 bytes), 7 (0x100 bytes)');
    expect(code).toBe(2);
  });
});
