import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GOOD, TWO_DEVICES } from '../devices.ts';
import { ended, until, Workplace } from '../run-cli.ts';
import { inTurn, MACHINE, turnsOf } from './in-turn.ts';

/** Runs one command of `hcs`, from its source. */
async function hcs(
  place: Workplace,
  args: readonly string[],
  input?: string,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  return await place.run(args, { program: 'hcs', ...(input === undefined ? {} : { input }) });
}

describe.concurrent('hcs, one command after the other', () => {
  test('creates, lists, shows, drives and ends systems', async () => {
    using place = new Workplace();
    place.write('web.json', MACHINE);
    const { turns, stderr } = await inTurn(place, [
      ['list'],
      ['create', 'web.json'],
      ['create', 'web.json', '--id', 'database', '--start'],
      ['list'],
      ['list', '--state', 'running', '--quiet'],
      ['list', '--owner', 'nobody', '--json'],
      ['start', 'w'],
      ['pause', 'web', 'data'],
      ['show', 'web'],
      ['show', 'web', '--document'],
      ['resume', 'web', 'none', 'database'],
      ['resume', 'web'],
      ['kill', 'web', 'database', '--json'],
      ['list', '--json'],
    ]);
    expect(turns.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0]);
    const said = turns.map(({ stdout }) => stdout);
    expect(said[0]).toBe('');
    expect(said[1]).toBe('Created web\n');
    expect(said[2]).toBe('Created and started database\n');
    expect(said[3]).toBe(
      [
        'ID        STATE    TYPE            OWNER',
        'database  Running  VirtualMachine  tester',
        'web       Created  VirtualMachine  tester',
        '',
      ].join('\n'),
    );
    expect(said[4]).toBe('database\n');
    expect(JSON.parse(said[5] ?? '')).toEqual([]);
    expect(said[7]).toBe('Paused web\nPaused database\n');
    expect(said[8]).toMatch(/^State +Paused$/m);
    expect(JSON.parse(said[9] ?? '')).toMatchObject({ Owner: 'tester' });
    // One that is not there keeps the others from nothing.
    expect(said[10]).toBe('Resumed web\nResumed database\n');
    expect(
      said[12]
        ?.trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { command: 'kill', id: 'web', done: true },
      { command: 'kill', id: 'database', done: true },
    ]);
    expect(JSON.parse(said[13] ?? '')).toEqual([]);
    expect(stderr).toContain('There are no compute systems');
    expect(stderr).toMatch(
      /^hcs: HcsOpenComputeSystem failed: .*"none" \(HCS_E_SYSTEM_NOT_FOUND 0x8037010E\)$/m,
    );
    expect(stderr).toMatch(/^ {2}remedy: hcs list shows the systems/m);
    expect(stderr).toMatch(/^hcs: HcsResumeComputeSystem failed: .*HCS_E_INVALID_STATE/m);
  });

  test('takes a beginning of an id that no other has, and lists those that have it', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    const { turns, stderr } = await inTurn(place, [
      ...['alpha', 'alps', 'beta', 'alp'].map((id) => ['create', 'm.json', '--id', id]),
      ['show', 'al', '--json'],
      ['show', 'alp', '--json'],
      ['show', 'alph…', '--json'],
      ['show', 'BE', '--json'],
      ['show', ''],
      ['create', 'm.json', '--id', 'alps'],
    ]);
    expect(turns.map(({ code }) => code)).toEqual([0, 0, 0, 0, 2, 0, 0, 0, 2, 1]);
    expect([5, 6, 7].map((at) => JSON.parse(turns[at]?.stdout ?? '').Id)).toEqual([
      'alp',
      'alpha',
      'beta',
    ]);
    const ambiguous = JSON.parse(/^\{"error".*$/m.exec(stderr)?.[0] ?? '');
    expect(ambiguous).toEqual({
      error: {
        message: 'Cannot tell which compute system al is: 3 ids begin so: alp, alpha, alps',
        remedy: 'give more of the id',
      },
      exitCode: 2,
    });
    expect(stderr).toContain('Cannot find a compute system: its id is empty');
    expect(stderr).toMatch(/HCS_E_SYSTEM_ALREADY_EXISTS.*\n {2}remedy: give another id by --id/);
  });

  test('copes with hostile ids', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    const ids = [
      '-rf',
      '--help',
      '../../etc/passwd',
      '/',
      'a b',
      "it's",
      '$(reboot)',
      '日本語',
      '\u202egnp.exe',
      '*',
      '__proto__',
      'constructor',
    ];
    const { turns, stderr } = await inTurn(place, [
      ...ids.map((id) => ['create', 'm.json', `--id=${id}`]),
      ...ids.map((id) => ['show', '--json', '--', id]),
      ['list'],
      ['list', '--quiet'],
      ['show', '-rf'],
      ['create', 'm.json', '--id', 'new\nline'],
      ['create', 'm.json', '--id', 'x'.repeat(300)],
      ['show', '\u001b[2J'],
      ['kill', '--', ...ids],
      ['list', '--quiet'],
    ]);
    const created = turns.slice(0, ids.length);
    expect(created.map(({ code }) => code)).toEqual(ids.map(() => 0));
    const shown = turns.slice(ids.length, 2 * ids.length);
    expect(shown.map(({ stdout }) => JSON.parse(stdout).Id)).toEqual(ids);
    const [table, quiet, option, newline, long, sequence, killed, rest] = turns.slice(
      2 * ids.length,
    );
    // A table has one line for each, and none that turns the terminal around.
    expect(table?.stdout.trim().split('\n')).toHaveLength(ids.length + 1);
    expect(table?.stdout).not.toContain('\u202e');
    expect(table?.stdout).toContain('\\u202egnp.exe');
    // A wide character takes two places.
    const at = (id: string): number =>
      table?.stdout
        .split('\n')
        .find((line) => line.startsWith(id))
        ?.indexOf('Created') ?? -1;
    expect(at('日本語')).toBe(at('a b') - 3);
    // Programs get ids as they are.
    expect(new Set(quiet?.stdout.trimEnd().split('\n'))).toEqual(new Set(ids));
    expect(option?.code).toBe(2);
    expect(stderr).toContain('(an id or file that begins with - comes after --: hcs show -- -x)');
    expect([newline?.code, long?.code, sequence?.code]).toEqual([1, 1, 1]);
    expect(stderr).not.toContain('\u001b[2J');
    expect(killed?.code).toBe(0);
    expect(rest?.stdout).toBe('');
  });

  test('changes resources, and says why it cannot', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    place.write('group.json', '{ "Id": "11111111-1111-1111-1111-111111111111" }');
    place.write('broken.json', '{ "Id": ');
    const path = 'VirtualMachine/ComputeTopology/Processor/CpuGroup';
    const { turns, stderr } = await inTurn(place, [
      ['create', 'm.json', '--start'],
      ['modify', 'm', path, 'update', 'group.json'],
      ['modify', 'm', path, 'update'],
      ['modify', 'm', path, 'update', 'broken.json'],
      ['modify', 'm', path, 'change', 'group.json'],
      ['modify', 'm', 'VirtualMachine/Devices/Bogus', 'remove', '--json'],
      ['modify', 'm', path, 'update', 'none.json'],
      ['kill', 'm'],
    ]);
    expect(turns.map(({ code }) => code)).toEqual([0, 1, 2, 2, 2, 1, 2, 0]);
    expect(stderr).toContain('ERROR_HV_INVALID_CPU_GROUP_ID');
    expect(stderr).toContain('without settings');
    expect(stderr).toContain('Cannot use broken.json as settings: line 1');
    expect(stderr).toMatch(/Allowed choices are add, remove, update/);
    expect(stderr).toMatch(/"function":"HcsModifyComputeSystem","hresult":"0x/);
  });

  test('shows states, statistics and the service', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    const { turns, stderr } = await inTurn(place, [
      ['create', 'm.json', '--start'],
      ['events'],
      ['events', 'm', '--json'],
      ['stats', '--interval', '0.01'],
      ['stats', 'm', '--interval', '0.01', '--count', '2', '--json'],
      ['stats', '--interval', 'soon'],
      ['service'],
      ['service', '--json'],
      ['wait', 'm', '--timeout', '0.01'],
      ['screenshot', 'm', 'x.png'],
      ['console', 'm'],
      ['show', 'm', 'Bogus'],
      ['kill', 'm'],
      ['crash', 'm'],
      ['stats'],
    ]);
    expect(turns.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 2, 0, 0, 1, 2, 2, 1, 0, 1, 0]);
    expect(turns[1]?.stdout).toMatch(/^\S+Z m Running\n$/);
    expect(JSON.parse(turns[2]?.stdout ?? '')).toMatchObject({
      id: 'm',
      type: 'state',
      state: 'Running',
    });
    expect(turns[3]?.stdout).toMatch(/^ID +STATE +CPU +MEMORY +READ\/s +WRITE\/s\nm +Running /);
    expect(turns[4]?.stdout.trim().split('\n')).toHaveLength(2);
    expect(turns[6]?.stdout).toMatch(/^host +simulated\n.*^processors +8$/ms);
    expect(JSON.parse(turns[7]?.stdout ?? '')).toMatchObject({ host: 'simulated', systems: 1 });
    expect(stderr).toContain('Cannot wait for m any longer: it has not ended after 0.01 s');
    expect(stderr).toContain('Cannot take a screenshot');
    expect(stderr).toContain('no COM port of it names a pipe');
    // What such a machine would be refused for is no remedy.
    for (const what of ['display', 'console']) {
      expect(stderr).toContain(`remedy: machines of the host simulated have no ${what}; the host`);
    }
    expect(stderr).not.toContain('$.VirtualMachine.Devices');
  });
});

describe.concurrent('hcs', () => {
  test('says what is wrong with a document, with its place, and creates nothing', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE.replace('SizeInMB', 'SizeInMb'));
    const { code, stderr } = await hcs(place, ['create', 'm.json', '--embedded']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^m\.json:4:\d+: .*did you mean "SizeInMB"\?$/m);
    expect(stderr).toMatch(/^hcs: Cannot use m\.json: the document has 1 problem$/m);
  });

  test('reads a document from standard input', async () => {
    using place = new Workplace();
    const args = ['create', '-', '--id', 'piped', '--embedded', '--host', 'simulated', '--json'];
    const { code, stdout } = await hcs(place, args, MACHINE);
    expect(JSON.parse(stdout)).toEqual({ command: 'create', id: 'piped', started: false });
    expect(code).toBe(0);
  });

  test('has an example in the help of every command, and its exit codes', async () => {
    using place = new Workplace();
    const { stdout } = await hcs(place, ['--help']);
    expect(stdout).toMatch(/^Exit codes:\n {2}0 .*\n {2}1 .*\n( {7}.*\n)* {2}2 .*/m);
    const names = [...stdout.matchAll(/^ {2}([a-z]+)(?:\|[a-z]+)* .*/gm)].map(([, name]) => name);
    const lines = names.filter((name) => name !== 'help').map((name) => ['help', name ?? '']);
    const { turns } = await inTurn(place, lines);
    expect(turns.length).toBeGreaterThan(20);
    for (const { stdout: help, code } of turns) {
      expect(help).toMatch(/^Examples:\n {2}\$ .*hcs [a-z]/m);
      expect(code).toBe(0);
    }
  });

  test('types what comes through a pipe at a console, and not its end, until the console has ended', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    const path = join(place.path, 'com1');
    let typed = '';
    const server = createServer((console) => {
      console.on('data', (data) => {
        typed += data;
        // The end of the pipe has come as well when this is read.
        if (typed.endsWith('poweroff\n')) console.write('what? ');
      });
      console.on('error', () => undefined);
      consoles.push(console);
    });
    const consoles: Socket[] = [];
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const lines = [
      ['create', 'm.json', '--start'],
      ['console', 'm', '--pipe', path],
      ['list', '--quiet'],
    ];
    const child = place.start(['simulated', JSON.stringify(lines)], { program: 'hcsInTurn' });
    const done = ended(child);
    const answered = until(child.stdout, 'what? ');
    child.stdin.end('poweroff\n');
    await answered;
    for (const console of consoles) console.end('so be it\n');
    const { stdout, stderr } = await done;
    const turns = turnsOf(stdout);
    expect(turns.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(turns[1]?.stdout).toBe('what? so be it\n');
    expect(turns[2]?.stdout).toBe('m\n');
    expect(stderr).toContain('hcs: the console of m was closed by its other end');
    expect(typed).toBe('poweroff\n');
    await new Promise((resolve) => server.close(resolve));
  });

  test('shares validate, schema and error with hdvkit', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    const { turns } = await inTurn(place, [
      ['validate', 'm.json', '--host', 'simulated'],
      ['schema', 'VirtualMachine'],
      ['error', '0x8037010E'],
    ]);
    expect(turns.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(turns[0]?.stdout).toContain('the host simulated can honour it');
    expect(turns[1]?.stdout).toContain('ComputeTopology');
    expect(turns[2]?.stdout).toContain('HCS_E_SYSTEM_NOT_FOUND');
  });
});

describe.concurrent('hcs on a terminal', () => {
  test('colours states, and nothing for NO_COLOR', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    const id = 'a-system-with-a-name-that-nobody-would-like-to-type-again';
    const lines = [
      ['create', 'm.json', '--id', `${id}-1`, '--start'],
      ['create', 'm.json', '--id', `${id}-2`],
      ['list'],
    ];
    const args = ['simulated', JSON.stringify(lines)];
    const colored = await ended(place.startOnTerminal(args, { program: 'hcsInTurn' }));
    expect(turnsOf(colored.stdout)[2]?.stdout).toContain('\u001b[32mRunning');
    const plain = await ended(
      place.startOnTerminal(args, { program: 'hcsInTurn', env: { NO_COLOR: '1' } }),
    );
    expect(plain.stdout).not.toContain('\u001b[');
  });

  test('says the same of the service, documents and codes as elsewhere', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    const path = 'VirtualMachine/ComputeTopology/Processor/CpuGroup';
    const lines = [
      ['create', 'm.json', '--start'],
      ['pause', 'm'],
      ['resume', 'm'],
      ['modify', 'm', path, 'update', 'm.json'],
      ['service'],
      ['validate', 'm.json'],
      ['schema', 'CpuGroup'],
      ['error', 'E_NOTIMPL'],
      ['completion', 'fish'],
    ];
    const args = ['simulated', JSON.stringify(lines)];
    const { stdout } = await ended(
      place.startOnTerminal(args, { program: 'hcsInTurn', env: { NO_COLOR: '1' } }),
    );
    const turns = turnsOf(stdout);
    expect(turns.map((turn) => turn.code)).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 0]);
    expect(turns[3]?.stdout).toMatch(/^hcs: HcsModifyComputeSystem failed: .*HCS_E_INVALID_JSON/);
    expect(turns[3]?.stdout).toMatch(/^ {2}remedy: /m);
    expect(turns[4]?.stdout).toMatch(/^processors +8$/m);
    expect(turns[8]?.stdout).toContain('complete -c hcs');
  });

  test('leaves systems alone on Ctrl-C, and says so', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    const lines = [
      ['create', 'm.json', '--start'],
      ['events', '-f'],
    ];
    const args = ['simulated', JSON.stringify(lines)];
    const child = place.startOnTerminal(args, { program: 'hcsInTurn' });
    const done = ended(child);
    await until(child.stdout, 'Running');
    child.stdin.write('\u0003');
    const { code, stdout } = await done;
    expect(stdout).toContain('hcs: interrupted; compute systems are left as they are');
    expect(code).toBe(130);
  });

  test('draws statistics over those before them, with a chart', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    const lines = [
      ['create', 'm.json', '--start'],
      ['stats', '--interval', '0.01', '--count', '3'],
    ];
    const args = ['simulated', JSON.stringify(lines)];
    const { stdout } = await ended(place.startOnTerminal(args, { program: 'hcsInTurn' }));
    expect(stdout.match(/CPU, NEWEST RIGHT/g)).toHaveLength(3);
    // Title, one line, and a chart of five: the terminal goes up over them.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
    expect(stdout.match(/\u001b\[\d+A\r\u001b\[J/g)?.length).toBe(2);
  });

  test('serves a device until Ctrl-C, and takes it out again', async () => {
    using place = new Workplace();
    place.write('m.json', MACHINE);
    place.write('device.ts', GOOD);
    place.write('two.ts', TWO_DEVICES);
    const lines = [
      ['create', 'm.json', '--start'],
      ['attach', 'm', 'none.ts'],
      ['attach', 'm', 'two.ts'],
      ['attach', 'm', 'device.ts'],
    ];
    const args = ['simulated', JSON.stringify(lines)];
    const child = place.startOnTerminal(args, { program: 'hcsInTurn' });
    const done = ended(child);
    await until(child.stdout, 'Ctrl-C takes it out again');
    child.stdin.write('\u0003');
    const { code, stdout } = await done;
    expect(stdout).toMatch(/Attached Good to m as [0-9a-f-]{36}/);
    expect(stdout).toMatch(
      /hcs: interrupted; taking Good out of m, which goes on\r\n(?:.*\r\n)*?hcs: took Good out of m/,
    );
    expect(stdout).toContain('there is no such file');
    expect(stdout).toContain('option export');
    expect(turnsOf(stdout).map((turn) => turn.code)).toEqual([0, 2, 2, 0]);
    expect(code).toBe(130);
  });
});

test('the version is that of the package', async () => {
  using place = new Workplace();
  const { stdout } = await hcs(place, ['--version']);
  const manifest = readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8');
  expect(stdout.trim()).toBe(JSON.parse(manifest).version);
});
