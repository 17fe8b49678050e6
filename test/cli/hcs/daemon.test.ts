import { spawn, spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GOOD } from '../devices.ts';
import { type CliOptions, type CliResult, ended, until, Workplace } from '../run-cli.ts';
import { MACHINE } from './in-turn.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

let place: Workplace;
let options: CliOptions;
let daemon: number;

async function hcs(...args: string[]): Promise<CliResult> {
  return await place.run(args, options);
}

async function ids(): Promise<readonly string[]> {
  return (await hcs('list', '--quiet')).stdout.split('\n').filter((line) => line !== '');
}

beforeAll(async () => {
  place = new Workplace();
  place.write('m.json', MACHINE);
  const env = {
    HDVKIT_SOCKET: join(place.path, 's', 'hcsd.sock'),
    HDVKIT_STATE: join(place.path, 'state'),
    HDVKIT_HOST: 'simulated',
    PATH: `${place.path}:${process.env.PATH}`,
  };
  options = { program: 'hcs', env };
  const loader = join(root, 'node_modules/tsx/dist/loader.mjs');
  const main = join(root, 'src/cli/hcs/main.ts');
  const line = `exec '${process.execPath}' --import '${loader}' --conditions=hdvkit-source '${main}' "$@"`;
  chmodSync(place.write('hcs', `#!/bin/sh\n${line}\n`), 0o755);
});

afterAll(async () => {
  if (daemon > 0) {
    process.kill(daemon, 'SIGTERM');
    while (isAlive(daemon)) await delay(50);
  }
  place[Symbol.dispose]();
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('the first command starts the daemon, and systems outlive commands', async () => {
  const created = await hcs('create', 'm.json', '--id', 'first', '--start');
  expect(created).toMatchObject({ code: 0, stdout: 'Created and started first\n' });
  const service = JSON.parse((await hcs('service', '--json')).stdout);
  expect(service).toMatchObject({ host: 'simulated', systems: 1, daemon: { version: /./ } });
  daemon = service.daemon.pid;
  expect(await ids()).toEqual(['first']);
});

describe('with a daemon', () => {
  test('Ctrl-C ends a command, and no system', async () => {
    const child = place.startOnTerminal(['events', '-f'], options);
    const done = ended(child);
    await until(child.stdout, 'Running');
    const appeared = until(child.stdout, 'second');
    expect((await hcs('create', 'm.json', '--id', 'second')).code).toBe(0);
    await appeared;
    const paused = until(child.stdout, 'Paused');
    expect((await hcs('pause', 'first')).code).toBe(0);
    await paused;
    child.stdin.write('\u0003');
    const { code, stdout } = await done;
    expect(stdout).toContain('hcs: interrupted; compute systems are left as they are');
    expect(code).toBe(130);
    expect(await ids()).toEqual(['first', 'second']);
  });

  test('a wait hears of an end that another command brings', async () => {
    const child = place.start(['wait', 'second', '--json'], options);
    const done = ended(child);
    const watch = place.start(['events', 'second', '-f', '--json'], options);
    const watched = ended(watch);
    await until(watch.stdout, '"type":"state"');
    // It says so when it takes long.
    await until(child.stderr, 'Waiting for the end of second');
    expect((await hcs('kill', 'second')).code).toBe(0);
    const { code, stdout } = await done;
    expect(JSON.parse(stdout)).toMatchObject({ id: 'second', ExitType: 'ForcedExit' });
    expect(code).toBe(3);
    const events = (await watched).stdout.trim().split('\n');
    expect(JSON.parse(events.at(-1) ?? '')).toMatchObject({ id: 'second', type: 'exited' });
  });

  test('another host than the daemon has is refused, and so is a device for a simulated one', async () => {
    place.write('device.ts', GOOD);
    const attached = await hcs('attach', 'first', 'device.ts');
    expect(attached.stderr).toContain('Cannot give a device to a system of a daemon');
    expect(attached.code).toBe(2);
    const { code, stderr } = await hcs('list', '--host', 'linux');
    expect(stderr).toContain('the systems of the service that runs are of the host simulated');
    expect(code).toBe(2);
    const none = await hcs('list', '--embedded', '--socket', 'x');
    expect(none.stderr).toContain('Cannot use --embedded with --socket');
    expect(none.code).toBe(2);
  });

  test('who follows hears of the end of the daemon, and starts no other', async () => {
    const HDVKIT_STATE = join(place.path, 'other-state');
    const env = {
      ...options.env,
      HDVKIT_STATE,
      HDVKIT_SOCKET: join(place.path, 'other', 'hcsd.sock'),
    };
    const other: CliOptions = { ...options, env };
    expect((await place.run(['create', 'm.json', '--start'], other)).code).toBe(0);
    const { pid } = JSON.parse((await place.run(['service', '--json'], other)).stdout).daemon;
    const all = place.start(['events', '-f'], other);
    const one = place.start(['events', 'm', '-f', '--json'], other);
    const done = Promise.all([ended(all), ended(one)]);
    await Promise.all([until(all.stdout, 'Running'), until(one.stdout, 'Running')]);
    process.kill(pid, 'SIGKILL');
    const [first, second] = await done;
    expect(first.code).toBe(1);
    expect(second.code).toBe(1);
    expect(second.stdout).toContain('"serviceDisconnected"');
    expect(JSON.parse(second.stderr.trim()).error.message).toContain(
      'the compute service has ended',
    );
  });

  test('nobody is started where a socket cannot be', async () => {
    const { code, stderr } = await hcs('list', '--socket', `/${'x'.repeat(200)}`);
    expect(stderr).toContain('a path has 1 to 107 bytes');
    expect(code).toBe(2);
    // A folder in which none can be made.
    const none = await hcs('list', '--socket', '/proc/none/hcsd.sock');
    expect(none.stderr).toMatch(
      /no service can listen in the folder \/proc\/none: .*HDVKIT_SOCKET/,
    );
    expect(none.code).toBe(1);
  });
});

/** Keys of a shell, and what it shows of them. */
interface Typing {
  readonly keys: string;
  readonly shown: string;
}

const TAB = '\t';
const CLEAR = '\u0015';

/** In CI all of them are there (test/tools.ts). */
const present = (shell: string): boolean =>
  process.env.CI === 'true' || spawnSync(shell, ['--version']).status === 0;

const SHELLS = [
  { shell: 'bash', args: '--norc --noprofile -i', load: 'source <(hcs completion bash)' },
  {
    shell: 'zsh',
    args: '-f -i',
    load: 'autoload -U compinit; compinit -u -D; source <(hcs completion zsh)',
  },
  { shell: 'fish', args: '--no-config -i', load: 'hcs completion fish | source' },
] as const;

describe('completion', () => {
  beforeAll(async () => {
    for (const id of ['it is "mine"', 'x:y=1']) {
      expect((await hcs('create', 'm.json', '--id', id)).code).toBe(0);
    }
  });

  for (const { shell, args, load } of SHELLS) {
    test.skipIf(!present(shell))(
      `${shell} completes commands, options, files and ids`,
      async () => {
        const child = spawn('script', ['-qec', `${shell} ${args}`, '/dev/null'], {
          cwd: place.path,
          env: { ...process.env, ...options.env, TERM: 'xterm', PS1: '> ', HOME: place.path },
        });
        const done = ended(child);
        const type = async ({ keys, shown }: Typing): Promise<void> => {
          const said = until(child.stdout, shown);
          child.stdin.write(keys);
          await said;
        };
        await type({ keys: `${load}; echo rea''dy\r`, shown: 'ready' });
        await type({ keys: `hcs shu${TAB}`, shown: 'tdown' });
        await type({ keys: `${CLEAR}hcs show fir${TAB}`, shown: 'st' });
        await type({ keys: `${CLEAR}hcs show it${TAB}`, shown: '\\"mine\\"' });
        await type({ keys: `${CLEAR}hcs show x:${TAB}`, shown: '1' });
        await type({ keys: `${CLEAR}hcs list --host s${TAB}`, shown: 'imulated' });
        await type({ keys: `${CLEAR}hcs create m.js${TAB}`, shown: 'on' });
        child.stdin.write(`${CLEAR}exit\r`);
        await done;
      },
    );
  }
});
