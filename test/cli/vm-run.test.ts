import { describe, expect, test } from 'vitest';
import { MachineExitCode } from '../../src/cli/vm/exit-code.ts';
import { CHANGED, GOOD, TWO_DEVICES } from './devices.ts';
import { type CliResult, ended, until, Workplace } from './run-cli.ts';

const MACHINE = `{
  // What a machine needs at least.
  "VirtualMachine": { "ComputeTopology": { "Memory": { "SizeInMB": 64 } }, "Services": { "Shutdown": {} } },
}
`;

/** A machine that runs on a terminal, and answers at its prompt. */
class Session {
  readonly #child: ReturnType<Workplace['startOnTerminal']>;
  readonly done: Promise<CliResult>;

  private constructor(child: ReturnType<Workplace['startOnTerminal']>) {
    this.#child = child;
    this.done = ended(child);
  }

  /** @param args the last ones of the command line */
  static async open(place: Workplace, args: readonly string[] = []): Promise<Session> {
    place.write('machine.json', MACHINE);
    const session = new Session(
      place.startOnTerminal(['vm', 'run', 'machine.json', '--host', 'simulated', ...args]),
    );
    await until(session.#child.stdout, 'hdvkit> ');
    return session;
  }

  /** Types one line, and resolves with what is said until `text`. */
  async type(line: string, text: string): Promise<string> {
    const said = until(this.#child.stdout, text);
    this.#child.stdin.write(`${line}\r`);
    return await said;
  }

  press(key: string): void {
    this.#child.stdin.write(key);
  }
}

describe.concurrent('hdvkit vm run on a terminal', () => {
  test('pauses, resumes and shows the machine at its prompt, and ends with it', async () => {
    using place = new Workplace();
    const session = await Session.open(place, ['--id', 'mine']);
    expect(await session.type('properties', '"State": "Running"')).toContain('"Id": "mine"');
    await session.type('pause', 'hdvkit> ');
    await session.type('properties', '"State": "Paused"');
    await session.type('resume', 'hdvkit> ');
    await session.type('properties Basic', '"State": "Running"');
    await session.type('events', 'Nothing has happened yet');
    await session.type('terminate', 'exited');
    const { code, stdout } = await session.done;
    expect(stdout).toContain('ForcedExit');
    expect(code).toBe(3);
    expect(place.leftovers).toEqual([]);
  });

  test('attaches, lists and detaches devices', async () => {
    using place = new Workplace();
    place.write('two.ts', TWO_DEVICES);
    place.write('device.ts', GOOD);
    const session = await Session.open(place, ['--device', 'two.ts#Second']);
    await session.type('devices', '1  Second  ');
    await session.type('attach device.ts', 'Attached Good as ');
    await session.type('devices', '2  Good  ');
    await session.type('attach two.ts', '--export');
    await session.type('detach', 'more than one attached device is meant');
    await session.type('detach 1', 'Detached Second');
    await session.type('devices', '1  Good  ');
    await session.type('detach Good', 'Detached Good');
    await session.type('devices', 'No device is attached');
    await session.type('terminate', 'exited');
    expect((await session.done).code).toBe(3);
    expect(place.leftovers).toEqual([]);
  });

  test('goes on after what cannot be done, and says why', async () => {
    using place = new Workplace();
    const session = await Session.open(place);
    await session.type('bogus', "unknown command 'bogus'");
    await session.type('\u001dproperties', '"State": "Running"');
    await session.type('save', "missing required argument 'file'");
    await session.type('save "no such folder/with space"', 'ERROR_PATH_NOT_FOUND');
    await session.type('screenshot x.png', 'machines of the host simulated have no display');
    await session.type('attach none.ts', 'there is no such file');
    await session.type('attach device.ts --colour red', "unknown option '--colour'");
    await session.type('properties Memori', 'HCS_E_INVALID_JSON');
    await session.type('resume', 'HCS_E_INVALID_STATE');
    const help = await session.type('help', 'help ');
    expect(help).toMatch(/pause +stop the processors/);
    await session.type('quit', 'Terminating the machine, as it cannot be shut down');
    expect((await session.done).code).toBe(3);
  });

  test('shuts the machine down on Ctrl-C, and leaves nothing', async () => {
    using place = new Workplace();
    const session = await Session.open(place, ['--shutdown-timeout', '1']);
    session.press('\u0003');
    const { code, stdout } = await session.done;
    expect(stdout).toContain('Shutting the machine down');
    expect(code).toBe(130);
    expect(place.leftovers).toEqual([]);
  });
});

describe.concurrent('hdvkit vm run without a terminal', () => {
  test('prints events as lines of JSON, and ends on SIGTERM with 143', async () => {
    using place = new Workplace();
    place.write('machine.json', MACHINE);
    place.write('device.ts', CHANGED);
    const child = place.start([
      ...['vm', 'run', 'machine.json', '--host', 'simulated'],
      ...['--json', '--shutdown-timeout', '1', '--device', 'device.ts'],
    ]);
    const done = ended(child);
    await until(child.stdout, '"type":"started"');
    child.kill('SIGTERM');
    const { code, stdout } = await done;
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly type: string; readonly time: string });
    expect(events.map(({ type }) => type)).toEqual(['started', 'exited']);
    for (const { time } of events) expect(new Date(time).toISOString()).toBe(time);
    expect(code).toBe(143);
    expect(place.leftovers).toEqual([]);
  });

  test('reads its document from standard input', async () => {
    using place = new Workplace();
    const child = place.start(['vm', 'run', '-', '--host', 'simulated', '--shutdown-timeout', '1']);
    const done = ended(child);
    child.stdin.end(MACHINE);
    await until(child.stderr, 'Started ');
    child.kill('SIGINT');
    expect((await done).code).toBe(130);
  });

  test('prints what is wrong with the document, with its place, and starts nothing', async () => {
    using place = new Workplace();
    place.write('machine.json', MACHINE.replace('SizeInMB', 'SizeInMb'));
    const args = ['vm', 'run', 'machine.json', '--host', 'simulated'];
    const { code, stdout, stderr } = await place.run(args);
    expect(stderr).toMatch(/^machine\.json:3:56: .* did you mean "SizeInMB"\?$/m);
    expect(stderr).toMatch(/^hdvkit: Cannot run machine\.json: the document has 1 problem$/m);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });

  test.for([
    [['none.json'], /Cannot read the document none\.json: ENOENT/],
    [['machine.json', '--device', 'none.ts'], /Cannot open none\.ts: there is no such file/],
    [['machine.json', '--device', 'two.ts'], /classes Good, Second/],
    [['machine.json', '--id', ''], /id/],
    [['machine.json', '--shutdown-timeout', '0'], /positive integer/],
    [['disk.json'], /\$\.VirtualMachine\.Devices\.Scsi/],
  ] as const)('refuses %j', async ([args, message]) => {
    using place = new Workplace();
    place.write('machine.json', MACHINE);
    place.write('disk.json', '{ "VirtualMachine": { "Devices": { "Scsi": {} } } }');
    place.write('two.ts', TWO_DEVICES);
    const all = ['vm', 'run', ...args, '--host', 'simulated'];
    const { code, stdout, stderr } = await place.run(all);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).toBe('');
    expect(code).toBe(2);
    expect(place.leftovers).toEqual([]);
  });

  test('says in its help what the exit codes mean', async () => {
    using place = new Workplace();
    const { code, stdout } = await place.run(['vm', 'run', '--help']);
    expect(stdout).toMatch(/^ {2}3 {4}the machine was terminated$/m);
    expect(MachineExitCode).toEqual({ TERMINATED: 3, UNEXPECTED: 4 });
    expect(stdout).toMatch(/^ {2}4 {4}the machine ended unexpectedly/m);
    expect(code).toBe(0);
  });
});
