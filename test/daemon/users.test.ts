import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectService } from '../../src/daemon/connect-service.ts';
import { groupIdOf } from '../../src/daemon/group-id.ts';
import { ServiceSocket } from '../../src/daemon/service-socket.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { ended, until } from '../cli/run-cli.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { startAs, type TestUser } from './users.ts';

const HCSD = fileURLToPath(new URL('../../src/cli/hcsd/main.ts', import.meta.url));
const AS_USER = fileURLToPath(new URL('./as-user.ts', import.meta.url));

const GROUP = 61_234;
const ROOT: TestUser = { id: 0 };
const MEMBER: TestUser = { id: 61_001, groups: [GROUP] };
const STRANGER: TestUser = { id: 61_002 };

/** Folder that everybody may enter and write to, as /tmp. */
let folder: string;
let socket: string;
let state: string;
const running: ChildProcessWithoutNullStreams[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
  chmodSync(folder, 0o1777);
  socket = join(folder, 'run', 'hcsd.sock');
  state = join(folder, 'state');
});

afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
});

function start(user: TestUser, args: readonly string[]): ChildProcessWithoutNullStreams {
  const child = startAs(user, folder, args);
  running.push(child);
  return child;
}

async function startDaemon(user: TestUser, ...options: string[]): Promise<void> {
  const args = ['--host', 'simulated', '--socket', socket, '--state', state, ...options];
  await until(start(user, [HCSD, ...args]).stdout, 'listening');
}

/** What a user's program meets at the daemon. */
async function as(user: TestUser, ...deeds: string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await ended(start(user, [AS_USER, socket, ...deeds]));
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

const mode = (path: string): number => statSync(path).mode & 0o7777;
const machine = { VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 } } } };

describe.runIf(process.getuid?.() === 0)('with other users', () => {
  test('members of the group connect and do what descriptors give them, strangers do not connect', async () => {
    await startDaemon(ROOT, '--group', String(GROUP));
    expect([mode(join(folder, 'run')), mode(socket), mode(state)]).toEqual([0o750, 0o660, 0o700]);
    expect([statSync(join(folder, 'run')).gid, statSync(socket).gid]).toEqual([GROUP, GROUP]);
    const connection = await connectService({ socket });
    const { core } = connection;
    const mine = await ComputeSystem.create('mine', machine, { core });
    const shared = await ComputeSystem.create('shared', machine, {
      core,
      securityDescriptor: `D:(A;;GA;;;S-1-22-1-0)(A;;GRGX;;;S-1-22-1-${MEMBER.id})`,
    });
    expect(
      await as(
        MEMBER,
        ...['look', 'list', 'open=mine', 'create=more', 'grant=mine'],
        ...['open=shared', 'start', 'terminate', 'stop'],
      ),
    ).toEqual({
      look: 'done',
      list: ['shared'],
      'open=mine': 'HCS_E_ACCESS_DENIED',
      'create=more': 'HCS_E_ACCESS_DENIED',
      'grant=mine': 'HCS_E_ACCESS_DENIED',
      'open=shared': 'done',
      start: 'done',
      terminate: 'HCS_E_ACCESS_DENIED',
      stop: 'HCS_E_ACCESS_DENIED',
    });
    expect(await shared.properties()).toMatchObject({ State: 'Running' });
    expect(await as(STRANGER, 'list')).toEqual({
      connect: 'HCS_E_ACCESS_DENIED',
      reason: expect.stringContaining('is not for this user'),
    });
    // One who gets as far as the socket nevertheless is told that, and no more.
    chmodSync(join(folder, 'run'), 0o755);
    chmodSync(socket, 0o666);
    expect(await as(STRANGER, 'list')).toEqual({
      connect: 'HCS_E_ACCESS_DENIED',
      reason: expect.stringContaining(`user ${STRANGER.id} may not use the service`),
    });
    for (const system of [mine, shared]) {
      await system.terminate();
      await system.close();
    }
    await connection.close();
    const lines = readFileSync(join(state, 'audit.log'), 'utf8').trim().split('\n');
    const ofMember = lines.map((line) => JSON.parse(line)).filter(({ uid }) => uid === MEMBER.id);
    expect(ofMember.map(({ function: name, system, result }) => [name, system, result])).toEqual([
      ['HcsOpenComputeSystem', 'mine', '0x8037011b'],
      ['HcsCreateComputeSystem', 'more', '0x8037011b'],
      ['HcsGrantVmAccess', undefined, '0x8037011b'],
      ['HcsOpenComputeSystem', 'shared', '0x00000000'],
      ['HcsStartComputeSystem', 'shared', '0x00000000'],
      ['HcsTerminateComputeSystem', 'shared', '0x8037011b'],
      ['stop', undefined, '0x8037011b'],
    ]);
    expect(lines.join('\n')).not.toContain(String(STRANGER.id));
  });

  test('a group that is no more closes nothing else, and one that the service may not give is refused', async () => {
    const group = { group: GROUP };
    (await ServiceSocket.listen(socket, () => {}, group)).close();
    // The folder is one that an earlier daemon has made: for its user alone, then for a group.
    chmodSync(join(folder, 'run'), 0o700);
    (await ServiceSocket.listen(socket, () => {}, group)).close();
    expect(mode(join(folder, 'run'))).toBe(0o750);
    const closed = join(folder, 'closed');
    mkdirSync(join(closed, 'run'), { recursive: true, mode: 0o700 });
    const inside = join(closed, 'run', 'hcsd.sock');
    await expect(ServiceSocket.listen(inside, () => {}, group)).rejects.toThrow(
      `may not enter ${closed}; run chgrp ${GROUP} ${closed}`,
    );
    const args = ['--host', 'simulated', '--socket', socket, '--state', state];
    rmSync(join(folder, 'run'), { recursive: true });
    const { code, stderr } = await ended(start(STRANGER, [HCSD, ...args, '--group', `${GROUP}`]));
    expect(stderr).toMatch(/Cannot let the group 61234 use .*member of that group, or as root/);
    expect(code).toBe(1);
  });

  test('a socket that another user has put where anybody may is not spoken to', async () => {
    mkdirSync(join(folder, 'run'));
    chownSync(join(folder, 'run'), STRANGER.id, STRANGER.id);
    const listener = `require('net').createServer(() => console.log('connected')).listen(process.argv[1], () => console.log('listening'))`;
    const child = start(STRANGER, ['-e', listener, socket]);
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    await until(child.stdout, 'listening');
    for (const startOnDemand of [false, { host: 'simulated', stateFolder: state }] as const) {
      const error = await errorOf(() => connectService({ socket, startOnDemand }));
      expect(error).toMatchObject({ code: 'HCS_E_ACCESS_DENIED' });
      expect(error.reason).toMatch(
        /is not trusted: it is that of user 61002, and anybody .*HDVKIT_SOCKET/,
      );
    }
    // Whoever does speak to it is heard, so that nobody has.
    expect(said).not.toContain('connected');
    const heard = until(child.stdout, 'connected');
    connect(socket).on('error', () => {});
    await heard;
    expect(existsSync(`${socket}.log`)).toBe(false);
  });

  test('the daemon of another user is used where only that user and root can have put it', async () => {
    const home = mkdtempSync('/run/hcsd-');
    try {
      chmodSync(home, 0o755);
      mkdirSync(join(home, 'member'));
      chownSync(join(home, 'member'), MEMBER.id, MEMBER.id);
      socket = join(home, 'member', 'hcsd.sock');
      await startDaemon(MEMBER);
      const connection = await connectService({ socket });
      // The system may admit root everywhere; the daemon does, too.
      expect(await ComputeSystem.enumerate(undefined, { core: connection.core })).toEqual([]);
      await connection.close();
      // Anybody may have made a link to it, where everybody may.
      const links = [join(folder, 'to-folder'), join(folder, 'to-socket')] as const;
      symlinkSync(join(home, 'member'), links[0]);
      symlinkSync(socket, links[1]);
      for (const path of [join(links[0], 'hcsd.sock'), links[1]]) {
        expect(await errorOf(() => connectService({ socket: path }))).toMatchObject({
          code: 'HCS_E_ACCESS_DENIED',
          reason: expect.stringContaining(`others may change ${folder}`),
        });
      }
      chmodSync(home, 0o777);
      expect(await errorOf(() => connectService({ socket }))).toMatchObject({
        code: 'HCS_E_ACCESS_DENIED',
        reason: expect.stringContaining(`others may change ${home}`),
      });
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });
});

test('a socket of this user is refused where others could put another one in its place', async () => {
  mkdirSync(join(folder, 'run'));
  let connections = 0;
  const server: Server = createServer(() => connections++);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  chmodSync(join(folder, 'run'), 0o777);
  const error = await errorOf(() => connectService({ socket }));
  expect(error.reason).toContain(`as they may change ${join(folder, 'run')}`);
  expect(connections).toBe(0);
  await new Promise((resolve) => server.close(resolve));
});

test('groups are named as everywhere, or by number', () => {
  expect(groupIdOf('root')).toBe(0);
  expect(groupIdOf('61234')).toBe(61_234);
  expect(() => groupIdOf('4294967295')).toThrow('0 to 4294967294');
  for (const name of ['no-such-group', '-x', 'root:', '']) {
    expect(() => groupIdOf(name)).toThrow(/Cannot find the group ".*": make it by groupadd/);
  }
});
