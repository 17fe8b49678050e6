import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GOOD } from '../devices.ts';
import {
  type CliOptions,
  type CliResult,
  ended,
  programLine,
  until,
  Workplace,
} from '../run-cli.ts';
import { MACHINE } from './in-turn.ts';

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
  chmodSync(place.write('hcs', `#!/bin/sh\nexec ${programLine('hcs')} "$@"\n`), 0o755);
});

afterAll(async () => {
  if (daemon > 0) {
    process.kill(daemon, 'SIGTERM');
    while (isAlive(daemon)) await delay(50);
  }
  place[Symbol.dispose]();
});

/** What is said last: what takes long is shown to go on before. */
function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1) ?? '';
}

/** The command with a service of its own. */
function elsewhere(name: string) {
  const HDVKIT_SOCKET = join(place.path, name, 'hcsd.sock');
  const HDVKIT_STATE = join(place.path, `${name}-state`);
  return { ...options, env: { ...options.env, HDVKIT_SOCKET, HDVKIT_STATE } };
}

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

  test('the end of the terminal ends a command with 129, and no system', async () => {
    // As a shell does with its jobs.
    const line = `hcs events -f & job=$!
      trap 'kill -HUP $job' HUP; wait $job; wait $job; echo "ended with $?" > code`;
    const child = spawn('script', ['-qec', line, '/dev/null'], {
      cwd: place.path,
      env: { ...process.env, ...options.env, TERM: 'xterm' },
    });
    await until(child.stdout, 'second');
    child.kill('SIGKILL');
    const code = join(place.path, 'code');
    while (!existsSync(code) || readFileSync(code, 'utf8') === '') await delay(20);
    expect(readFileSync(code, 'utf8')).toBe('ended with 129\n');
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

  test('a device is served from its command until Ctrl-C', async () => {
    place.write('device.ts', GOOD);
    // The tests before have paused it.
    await hcs('resume', 'first');
    const attach = place.startOnTerminal(['attach', 'first', 'device.ts'], options);
    const detached = ended(attach);
    await until(attach.stdout, 'Ctrl-C takes it out again');
    attach.stdin.write('\u0003');
    const { code, stdout } = await detached;
    expect(stdout).toContain('hcs: took Good out of first');
    expect(code).toBe(130);
    expect(await ids()).toContain('first');
  });

  test('another host than the daemon has is refused, and two services at once', async () => {
    const { code, stderr } = await hcs('list', '--host', 'linux');
    expect(stderr).toContain('the systems of the service that runs are of the host simulated');
    expect(code).toBe(2);
    const none = await hcs('list', '--embedded', '--socket', 'x');
    expect(none.stderr).toContain('Cannot use --embedded with --socket');
    expect(none.code).toBe(2);
  });
});

describe('with a service of its own', () => {
  test('who waits, follows, measures or serves hears of the end of the daemon, and starts no other', async () => {
    const other = elsewhere('other');
    expect((await place.run(['create', 'm.json', '--start'], other)).code).toBe(0);
    const { pid } = JSON.parse((await place.run(['service', '--json'], other)).stdout).daemon;
    const start = (...args: string[]) => place.start(args, other);
    const all = start('events', '-f');
    const one = start('events', 'm', '-f', '--json');
    const wait = start('wait', 'm');
    const stats = start('stats', 'm', '--json', '--interval', '0.01');
    place.write('device.ts', GOOD);
    const attach = start('attach', 'm', 'device.ts');
    const done = Promise.all([all, one, wait, stats, attach].map(ended));
    await Promise.all([
      until(all.stdout, 'Running'),
      until(one.stdout, 'Running'),
      until(wait.stderr, 'Waiting for the end of m'),
      until(stats.stdout, 'Running'),
      until(attach.stdout, 'Ctrl-C takes it out again'),
    ]);
    process.kill(pid, 'SIGKILL');
    const ends = await done;
    expect(ends.map(({ code }) => code)).toEqual([1, 1, 1, 1, 1]);
    const [ofAll, ofOne, ofWait, ofStats, ofAttach] = ends;
    expect(ofOne?.stdout).toContain('"serviceDisconnected"');
    expect(JSON.parse(ofOne?.stderr.trim() ?? '').error.message).toContain(
      'the compute service has ended',
    );
    expect(ofAll?.stderr).toMatch(/compute service has ended\n {2}remedy: hcs service says/);
    for (const each of [ofWait, ofAttach]) {
      expect(each?.stderr).toMatch(
        /compute system m: the connection to its service is lost.*\n {2}remedy: hcs list shows/,
      );
    }
    expect(JSON.parse(ofStats?.stderr.trim() ?? '')).toMatchObject({
      error: { code: 'HCS_E_SERVICE_DISCONNECT', remedy: expect.stringContaining('hcs list') },
      exitCode: 1,
    });
    expect((await place.run(['service', 'status'], other)).code).toBe(1);
  });

  test('what is to be done where there is no service fits the case', async () => {
    place.write('no-folder', '');
    const HDVKIT_STATE = join(place.path, 'no-folder', 'state');
    const HDVKIT_SOCKET = join(place.path, 'remedies', 'hcsd.sock');
    const own = { ...options, env: { ...options.env, HDVKIT_STATE, HDVKIT_SOCKET } };
    const failed = await place.run(['list'], own);
    expect(failed.stderr).toMatch(/a service could not be started: it ended with code [12]: /);
    expect(failed.stderr).toContain(`; its log is ${HDVKIT_SOCKET}.log (HCS_E_SERVICE_NOT_AV`);
    expect(failed.stderr).not.toMatch(/where none listens|start hcsd|remedy:.*\n.*remedy:/);
    expect(failed.code).toBe(1);
    const { error } = JSON.parse(lastLine((await place.run(['list', '--json'], own)).stderr));
    expect(error.remedy).toBe(`its log is ${HDVKIT_SOCKET}.log`);

    // Something else listens there.
    const silent = createServer((peer) => peer.end());
    await new Promise<void>((listening) => void silent.listen(HDVKIT_SOCKET, listening));
    try {
      const stop = await place.run(['service', 'stop'], own);
      expect(stop.stderr).toMatch(/did not say that it ends: .*; ask again, or end its process \(/);
      expect(stop.stderr).not.toContain('starts a service');
    } finally {
      silent.close();
    }
  });

  test('the service is started, looked at and stopped, which is asked for where systems end', async () => {
    const own = elsewhere('stopped');
    const hcsThere = (...args: string[]): Promise<CliResult> => place.run(args, own);
    const none = { stdout: 'No service runs; the next command starts one\n' };
    expect(await hcsThere('service', 'status')).toMatchObject({ ...none, code: 1 });
    expect(await hcsThere('service', 'stop')).toMatchObject({ ...none, code: 0 });
    const started = await hcsThere('service', 'start');
    const [, pid] = /^Started hcsd \S+, process (\d+); /.exec(started.stdout) ?? [];
    expect((await hcsThere('service', 'start')).stdout).toMatch(`process ${pid} runs already\n`);
    expect((await hcsThere('create', 'm.json', '--start')).code).toBe(0);
    expect((await hcsThere('service', 'status')).stdout).toMatch(/^systems +1$/m);
    const unasked = await hcsThere('service', 'stop');
    expect(unasked.stderr).toMatch(/unasked: 1 system would end with it\n {2}remedy: .*--yes\n$/);
    expect(unasked.code).toBe(2);
    const answer = async (text: string): Promise<CliResult> => {
      const child = place.startOnTerminal(['service', 'stop'], own);
      const done = ended(child);
      await until(child.stdout, '1 system would end with it. Stop it? [y/N]');
      child.stdin.write(text);
      return await done;
    };
    expect(await answer('n\r')).toMatchObject({
      stdout: expect.stringContaining('hcs: the service goes on'),
      code: 1,
    });
    expect((await answer('\u0003')).code).toBe(130);
    expect((await hcsThere('list', '--quiet')).stdout).toBe('m\n');
    expect((await answer('y\r')).stdout).toMatch(
      new RegExp(`Stopped hcsd \\S+, process ${pid}, and 1 system with it`),
    );
    while (isAlive(Number(pid))) await delay(10);
    // One that nobody would miss needs no question.
    expect((await hcsThere('service', 'start', '--json')).code).toBe(0);
    expect(JSON.parse((await hcsThere('service', 'stop', '--json')).stdout)).toMatchObject({
      done: true,
      systems: 0,
    });
    expect((await hcsThere('service', 'stop', '--embedded')).code).toBe(2);
  });

  test('a daemon of another version is told by both versions, and can be ended', async () => {
    for (const [oldest, newest, remedy] of [
      ['98', '99', 'update the client'],
      ['0', '0', 'end the service, and start the newer one'],
    ] as const) {
      const own = elsewhere(`version-${oldest}`);
      const options = ['--socket', own.env.HDVKIT_SOCKET, '--state', own.env.HDVKIT_STATE];
      const child = place.start([oldest, newest, '--host', 'simulated', ...options], {
        program: 'hcsdOfOtherVersion',
      });
      const done = ended(child);
      await until(child.stdout, 'listening');
      const { code, stderr } = await place.run(['list'], own);
      const versions = `protocol 1 to 1, the service (hdvkit \\S+) ${oldest} to ${newest}`;
      expect(stderr).toMatch(new RegExp(versions.replace(/[()]/g, '\\$&')));
      expect(stderr).toContain(remedy);
      expect(code).toBe(1);
      expect((await place.run(['service', 'stop'], own)).code).toBe(0);
      expect((await done).code).toBe(0);
    }
  });

  test('a program that listens and never greets is told apart, and no daemon is started beside it', async () => {
    const own = elsewhere('silent');
    mkdirSync(dirname(own.env.HDVKIT_SOCKET));
    const listener =
      "require('net').createServer(() => {}).listen(process.argv[1], () => console.log('listening'))";
    const child = spawn(process.execPath, ['-e', listener, own.env.HDVKIT_SOCKET]);
    try {
      await until(child.stdout, 'listening');
      const [listed, stopped] = await Promise.all([
        place.run(['list'], own),
        place.run(['service', 'stop'], own),
      ]);
      expect(listed?.stderr).toMatch(
        /no service that greets: it did not answer to hello within 5000 ms; end that program, or name another/,
      );
      expect(stopped?.stderr).toContain('it did not answer within 5000 ms');
      expect([listed?.code, stopped?.code]).toEqual([1, 1]);
      expect(existsSync(`${own.env.HDVKIT_SOCKET}.log`)).toBe(false);
    } finally {
      child.kill('SIGKILL');
    }
  });
});

describe('without a daemon', () => {
  test('one that is started has its socket and its state where the command would', async () => {
    const env = { ...options.env, HDVKIT_SOCKET: 'own/hcsd.sock', HDVKIT_STATE: 'own/state' };
    const hook = place.write('hook', '#!/bin/sh\n');
    Object.assign(env, {
      HDVKIT_CACHE: 'own/cache',
      HDVKIT_CRASH_HOOK: './hook',
      HDVKIT_QEMU: 'qemu-of-the-path',
    });
    const own = { ...options, env };
    expect((await place.run(['create', 'm.json'], own)).stdout).toBe('Created m\n');
    const { pid } = JSON.parse((await place.run(['service', '--json'], own)).stdout).daemon;
    const there = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    expect(there).toEqual(
      expect.arrayContaining([
        `HDVKIT_CACHE=${join(place.path, 'own/cache')}`,
        `HDVKIT_CRASH_HOOK=${hook}`,
        'HDVKIT_QEMU=qemu-of-the-path',
      ]),
    );
    for (const name of ['hcsd.sock', 'state/state.db']) {
      expect(existsSync(join(place.path, 'own', name))).toBe(true);
    }
    expect((await place.run(['service', 'stop', '--yes'], own)).code).toBe(0);
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
        await type({ keys: `${CLEAR}hcs service sto${TAB}`, shown: 'p' });
        await type({ keys: `${CLEAR}hcs create m.js${TAB}`, shown: 'on' });
        child.stdin.write(`${CLEAR}exit\r`);
        await done;
      },
    );
  }
});
