// Longer than most files: one guest is booted, and what goes over its sockets is tried.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runtimeIdOf } from '../../src/compute/system-id.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { vmAccount } from '../../src/engines/qemu/vm-account.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { connectHvSocket, listenHvSocket } from '../../src/hcs/hv-socket.ts';
import type {
  ComputeSystem as Document,
  IntegrationComponentStatus,
  VirtualMachine,
} from '../../src/hcs/schema/documents.ts';
import type { SystemEvent } from '../../src/hcs/system-event.ts';
import { vsockServiceId } from '../../src/hcs/vsock-service-id.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';
import { folderOf, programsOf, statusOf } from './machine-processes.ts';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 60_000, interval: 100 };
const ECHO = vsockServiceId(5000);
const HOST = vsockServiceId(5001);
const OFF = vsockServiceId(5002);
const GUEST_CONNECTION = 0x4000_0000;

const INFO = {
  SupportedSchemaVersions: [{ Major: 2, Minor: 1 }],
  ProtocolVersion: 4,
  GuestDefinedCapabilities: { SignalProcessSupported: false, DumpStacksSupported: false },
};

const { XDG_RUNTIME_DIR } = process.env;
let folder: string;
let host: LinuxTestHost;
let system: ComputeSystem;
let agent: GuestAgent;
/** Types of what has happened to the system. */
const events: SystemEvent['type'][] = [];

async function create(change: (machine: VirtualMachine) => VirtualMachine): Promise<ComputeSystem> {
  const id = `hdvkit-${randomUUID()}`;
  const document = host.document() as Document;
  const VirtualMachine = change(document.VirtualMachine ?? {});
  const { computeCore: core } = host.binding;
  const saved = VirtualMachine.RestoreState?.SaveStateFilePath;
  if (saved !== undefined) await core.HcsGrantVmAccess(id, saved);
  return await ComputeSystem.create(id, { ...document, VirtualMachine }, { core });
}

function record(of: ComputeSystem): void {
  events.length = 0;
  const heard = of.events();
  void (async () => {
    for await (const { type } of heard) events.push(type);
  })();
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvv-'));
  process.env.XDG_RUNTIME_DIR = folder; // Closed to everybody else.
  host = await openLinuxHost({
    guestConnection: true,
    commands: ["hdvkit-agent vsock-listen 5000 'exec cat' &"],
  });
  system = await create((machine) => ({
    ...machine,
    Devices: {
      ...machine.Devices,
      HvSocket: {
        HvSocketConfig: { ServiceTable: { [ECHO]: {}, [HOST]: {}, [OFF]: { Disabled: true } } },
      },
    },
    Services: { ...machine.Services, Heartbeat: {} },
  }));
  expect(await heartbeat()).toEqual({ IsEnabled: true, State: 'NoContact', Reason: 'Unknown' });
  record(system);
  await system.start();
  agent = await host.agent();
});

afterAll(async () => {
  if (XDG_RUNTIME_DIR === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = XDG_RUNTIME_DIR;
  await system?.[Symbol.asyncDispose]();
  await host?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

async function run(command: string): Promise<string> {
  const { stdout, stderr } = await agent.run(command);
  return (stdout + stderr).trim();
}

async function service(
  id: string,
  RequestType: 'Update' | 'Remove',
  Settings?: object,
): Promise<void> {
  const ResourcePath = `VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/${id}`;
  await system.modify({
    ResourcePath,
    RequestType,
    ...(Settings === undefined ? {} : { Settings }),
  });
}

/** What comes over a socket, once it has this length. @throws Error when the other end has sent less */
async function read(socket: Socket, length: number): Promise<string> {
  let text = '';
  for await (const part of socket.setEncoding('utf8')) {
    text += part;
    if (text.length >= length) return text;
  }
  throw new Error(`The connection has ended after ${text.length} of ${length} characters`);
}

/** What a program of the guest gets back for a text that it sends. */
async function echoOf(text: string, id = ECHO): Promise<string> {
  const socket = await connectHvSocket(system, id);
  try {
    socket.write(text);
    return await read(socket, text.length);
  } finally {
    socket.destroy();
  }
}

/** The same, as soon as somebody listens in the guest. */
async function untilEchoed(): Promise<void> {
  await expect
    .poll(() => echoOf('again').catch((error: Error) => String(error)), PATIENCE)
    .toBe('again');
}

const connection = async (): Promise<unknown> =>
  (await system.properties({ PropertyTypes: ['GuestConnection'] })).GuestConnectionInfo;

/** Process of the guest's agent that is connected. */
const AGENT = "ps | grep 'agent guest-connectio[n]' | awk '{print $1}'";

async function heartbeat(): Promise<IntegrationComponentStatus | undefined> {
  const answer = await system.properties({ PropertyTypes: ['ICHeartbeatStatus'] });
  return (answer as { readonly ICHeartbeatStatus?: IntegrationComponentStatus }).ICHeartbeatStatus;
}

const alive = { IsEnabled: true, State: 'Ok', Reason: 'Unknown' };
const lost = { IsEnabled: true, State: 'LostCommunication', Reason: 'FailedCommunication' };

test('the program that serves them has the account of the machine where there is one, wherever its folder is', () => {
  const isRoot = process.getuid?.() === 0;
  const uid = isRoot ? vmAccount(runtimeIdOf(system.id)).uid : process.getuid?.();
  const [pid = 0] = programsOf(system.id, 'vhost-device-vsock');
  expect(statusOf(pid, 'Uid')).toBe(Array(4).fill(uid).join('\t'));
  expect(statusOf(pid, 'CapEff')).toBe('0000000000000000');
  expect(folderOf(system.id).startsWith(`${folder}/`)).toBe(true);
});

describe('services', () => {
  test('of the guest are connected to, by many at once', async () => {
    await untilEchoed(); // The agent is up before it listens.
    const texts = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(20_000));
    expect(await Promise.all(texts.map((text) => echoOf(text)))).toEqual(texts);
  });

  test('of the host are connected to by the guest', async () => {
    const server = await listenHvSocket(system, HOST.toUpperCase());
    expect((await errorOf(() => listenHvSocket(system, HOST))).code).toBe(
      'ERROR_SHARING_VIOLATION',
    );
    server.on('connection', (socket) => {
      socket.on('data', (data) => socket.end(`heard ${data}`));
    });
    expect(await run('echo guest | hdvkit-agent vsock-connect 5001')).toBe('heard guest');
    server.close();
    expect(await run('echo guest | hdvkit-agent vsock-connect 5001')).toContain('vsock-connect:');
  });

  test('come, are disabled and go', async () => {
    const id = vsockServiceId(6000);
    await run("(hdvkit-agent vsock-listen 6000 'exec cat' >/dev/null 2>&1 &)");
    expect((await errorOf(() => connectHvSocket(system, id))).code).toBe('ERROR_NOT_FOUND');
    await service(`{${id.toUpperCase()}}`, 'Update', {});
    await expect.poll(() => echoOf('six', id).catch(() => ''), PATIENCE).toBe('six');
    await service(id, 'Update', { Disabled: true });
    expect((await errorOf(() => connectHvSocket(system, id))).code).toBe('ERROR_NOT_FOUND');
    await service(id, 'Update', { Disabled: false });
    await service(id, 'Remove');
    expect((await errorOf(() => service(id, 'Remove'))).code).toBe('ERROR_NOT_FOUND');
    const server = await listenHvSocket(system, HOST);
    await service(HOST, 'Remove');
    expect(await run('echo guest | hdvkit-agent vsock-connect 5001')).toContain('vsock-connect:');
    server.close();
    await service(HOST, 'Update', {});
  });

  test('that cannot be had are refused with the reason', async () => {
    const nobody = vsockServiceId(7000);
    await service(nobody, 'Update', {});
    for (const [call, code, text] of [
      [
        () => connectHvSocket(system, nobody),
        'HCS_E_CONNECT_FAILED',
        'nobody in the guest listens',
      ],
      [() => connectHvSocket(system, OFF), 'ERROR_NOT_FOUND', 'or it is disabled'],
      [() => connectHvSocket(system, randomUUID()), 'E_INVALIDARG', 'vsockServiceId(port)'],
      [() => service(randomUUID(), 'Update', {}), 'E_INVALIDARG', 'is no vsock port'],
      [
        () => service(vsockServiceId(GUEST_CONNECTION), 'Update', {}),
        'E_INVALIDARG',
        'is the service of GuestConnection',
      ],
      [
        () => service(ECHO, 'Update', { ConnectSecurityDescriptor: 'D:(A;;FA;;;WD)' }),
        'E_NOTIMPL',
        'the sockets are those of the user',
      ],
    ] as const) {
      const error = await errorOf(call as () => Promise<unknown>);
      expect([error.code, error.reason]).toEqual([code, expect.stringContaining(text)]);
    }
  });
});

describe('the guest connection', () => {
  test('is there when the machine has started, and is told', async () => {
    expect(await connection()).toEqual(INFO);
    expect(events).not.toContain('guestConnectionClosed');
  });

  test('is one, whatever else the guest sends to its port', async () => {
    for (const hostile of [
      'head -c 100000 /dev/urandom',
      "printf '\\1\\13\\20\\40\\377\\377\\377\\177\\0\\0\\0\\0\\0\\0\\0\\0'",
      'cat /dev/zero | head -c 10000000',
    ]) {
      await run(`${hostile} | timeout 3 hdvkit-agent vsock-connect 0x40000000 | head -c 0`);
    }
    expect(await connection()).toEqual(INFO);
    expect(await echoOf('unharmed')).toBe('unharmed');
  });

  test('has the heartbeat of the agent: one that hangs has none until it goes on', async () => {
    await expect.poll(heartbeat, PATIENCE).toEqual(alive);
    await run(`kill -STOP $(${AGENT})`);
    await expect.poll(heartbeat, PATIENCE).toEqual({ ...lost, Reason: 'CommunicationTimedOut' });
    expect(await connection()).toEqual(INFO);
    await run(`kill -CONT $(${AGENT})`);
    await expect.poll(heartbeat, PATIENCE).toEqual(alive);
    await system.pause();
    expect(await heartbeat()).toEqual({ ...alive, State: 'Dormant' });
    await system.resume();
    await expect.poll(heartbeat, PATIENCE).toEqual(alive);
  });

  test('is told of when its agent ends, and comes back with another', async () => {
    await run(`kill -STOP $(${AGENT})`);
    events.length = 0;
    await run(`kill -KILL $(${AGENT})`);
    await expect.poll(() => events, PATIENCE).toContain('guestConnectionClosed');
    expect(await connection()).toBeUndefined();
    expect(await heartbeat()).toEqual(lost);
    const byAgent = { options: { Mechanism: 'GuestConnection' as const } };
    expect((await errorOf(() => system.shutDown(byAgent))).code).toBe('HCS_E_CONNECTION_CLOSED');
    // Garbage instead of the answer: cut off, and the next one is asked.
    for (const hostile of [
      'head -c 4096 /dev/urandom',
      "printf 'GET / HTTP/1.1\\r\\n\\r\\n\\0\\0\\0'",
    ]) {
      await run(`${hostile} | timeout 3 hdvkit-agent vsock-connect 0x40000000 | head -c 0`);
    }
    expect(await connection()).toBeUndefined();
    await run('(hdvkit-agent guest-connection >/dev/null 2>&1 &)');
    await expect.poll(connection, PATIENCE).toEqual(INFO);
  });

  test('ends with a restart of the guest, and comes back', async () => {
    events.length = 0;
    const again = agent.restarted();
    agent.run('reboot -f').catch(() => undefined);
    await again;
    await expect.poll(() => events, PATIENCE).toContain('guestConnectionClosed');
    await expect.poll(connection, PATIENCE).toEqual(INFO);
    await untilEchoed();
  });
});

test('a machine with sockets is saved, runs on, and is restored', async () => {
  const path = join(folder, 'saved');
  events.length = 0;
  await run('echo kept > /tmp/note');
  await system.pause();
  await system.save({ SaveType: 'ToFile', SaveStateFilePath: path });
  expect((await system.properties()).State).toBe('Paused');
  await expect.poll(() => events, PATIENCE).toEqual(['guestConnectionClosed']);
  await system.resume();
  await untilEchoed();
  await expect.poll(connection, PATIENCE).toEqual(INFO);
  await system.terminate();

  system = await create((machine) => ({
    ...machine,
    Devices: {
      ...machine.Devices,
      HvSocket: { HvSocketConfig: { ServiceTable: { [ECHO]: {} } } },
    },
    RestoreState: { SaveStateFilePath: path },
  }));
  record(system);
  await system.start();
  agent = await host.agent();
  expect(await connection()).toEqual(INFO);
  expect(await heartbeat()).toEqual({ IsEnabled: false });
  await untilEchoed();
  expect(await run('cat /tmp/note')).toBe('kept');
});

test('the agent shuts the guest down', async () => {
  events.length = 0;
  await system.shutDown({ options: { Mechanism: 'GuestConnection' } });
  expect((await system.exited).ExitType).toBe('GracefulExit');
  await expect.poll(() => events, PATIENCE).toEqual(['guestConnectionClosed', 'exited']);
});
