import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectService, type ServiceConnection } from '../../src/daemon/connect-service.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { vsockServiceId } from '../../src/hcs/vsock-service-id.ts';
import { until } from '../cli/run-cli.ts';
import { lastingEngine, machineDocument } from './lasting-machines.ts';
import { folderOf, processes, processesOf } from './machine-processes.ts';

/*
 * What is secret in documents and requests, and where it must not come to light: processes that everybody sees, logs, error
 * messages, files that others may read.
 */

const MAIN = fileURLToPath(new URL('../../src/cli/hcsd/main.ts', import.meta.url));
const ARGUMENTS = ['--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source', MAIN];
/** Nothing else has it: neither another process nor this file. */
const SECRET = `s${randomBytes(9).toString('hex')}`;
const OF_SERVICE = `e${randomBytes(9).toString('hex')}`;
const ID = `secret-${process.pid}`;

let folder: string;
let state: string;
let daemon: ChildProcess;
let said = '';
let service: ServiceConnection;
let system: ComputeSystem;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvz-'));
  chmodSync(folder, 0o711); // A machine of root's has an account of its own.
  state = join(folder, 'state');
  const socket = join(folder, 'run', 'hcsd.sock');
  daemon = spawn(
    process.execPath,
    [...ARGUMENTS, '--host', 'linux', '--state', state, '--socket', socket],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HDVKIT_TEST_SECRET: OF_SERVICE } },
  );
  for (const stream of [daemon.stdout!, daemon.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  await until(daemon.stdout!, 'listening').catch(() => Promise.reject(new Error(said)));
  service = await connectService({ socket });
  system = await create(ID, (machine) => machine);
  await system.start();
});

afterAll(async () => {
  await service?.close();
  if (daemon?.exitCode === null) {
    const gone = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    await gone;
  }
  if (folder === undefined) return;
  await lastingEngine(join(state, 'machines')).reap([]);
  rmSync(folder, { recursive: true, force: true });
});

type Machine = Readonly<Record<string, object>>;

/** A machine whose kernel is told a secret. */
async function create(id: string, change: (machine: Machine) => object): Promise<ComputeSystem> {
  const { core } = service;
  const document = machineDocument(join(folder, 'x'), id) as { readonly VirtualMachine: Machine };
  const { KernelFilePath } = (document.VirtualMachine.Chipset as { LinuxKernelDirect: Kernel })
    .LinuxKernelDirect;
  if (process.getuid?.() === 0) await core.HcsGrantVmAccess(id, KernelFilePath);
  const LinuxKernelDirect = { KernelFilePath, KernelCmdLine: `console=ttyS0 key=${SECRET}` };
  const machine = { ...document.VirtualMachine, Chipset: { LinuxKernelDirect } };
  const VirtualMachine = change(machine as Machine);
  return await ComputeSystem.create(id, { ...document, VirtualMachine }, { core });
}

interface Kernel {
  readonly KernelFilePath: string;
}

/** All that a program could print of an error, causes included. */
function wordsOf(error: unknown): string {
  if (!(error instanceof HcsError)) return String(error);
  const { message, stack, document, cause } = error;
  return [message, stack, document, cause === undefined ? '' : wordsOf(cause)].join('\n');
}

async function failureOf(attempt: () => Promise<unknown>): Promise<string> {
  return await attempt().then(() => 'nothing failed', wordsOf);
}

/** Files below a folder that have a text in them, with their modes. */
function filesWith(text: string, below: string): Record<string, string> {
  const names = readdirSync(below, { recursive: true, encoding: 'utf8' });
  const found = names.flatMap((name) => {
    const path = join(below, name);
    const status = statSync(path, { throwIfNoEntry: false });
    // What the daemon writes for a moment may be gone.
    if (status?.isFile() !== true || !existsSync(path)) return [];
    return readFileSync(path).includes(text) ? [[name, (status.mode & 0o777).toString(8)]] : [];
  });
  return Object.fromEntries(found);
}

const descriptor = { BindSecurityDescriptor: SECRET, ConnectSecurityDescriptor: SECRET };
const Registry = {
  AddValues: [
    { Key: { Hive: 'System', Name: 'k' }, Name: 'n', Type: 'String', StringValue: SECRET },
  ],
};
const spec = { CredentialSpec: SECRET, Cookie: SECRET };
const socket = vsockServiceId(5000);

/** Documents with a secret in each field for one: those that this host does not have, and those that are wrong. */
const DOCUMENTS: Readonly<Record<string, (machine: Machine) => object>> = {
  'security descriptors of a service': (machine) => ({
    ...machine,
    Devices: { HvSocket: { HvSocketConfig: { ServiceTable: { [socket]: descriptor } } } },
  }),
  'security descriptors of services': (machine) => ({
    ...machine,
    Devices: { HvSocket: { HvSocketConfig: { DefaultBindSecurityDescriptor: SECRET } } },
  }),
  'values of the registry': (machine) => ({ ...machine, RegistryChanges: Registry }),
  'options of a kernel that is missing': (machine) => ({
    ...machine,
    Chipset: {
      Uefi: {
        BootThis: {
          DeviceType: 'VmbFs',
          VmbFsRootPath: '/nowhere',
          DevicePath: '\\kernel',
          OptionalData: SECRET,
        },
      },
    },
  }),
  'a command line that is too long': (machine) => ({
    ...machine,
    Chipset: {
      LinuxKernelDirect: {
        ...(machine.Chipset as { LinuxKernelDirect: Kernel }).LinuxKernelDirect,
        KernelCmdLine: SECRET.repeat(10_000),
      },
    },
  }),
  'a command line that is an object': (machine) => ({
    ...machine,
    Chipset: { LinuxKernelDirect: { KernelFilePath: '/k', KernelCmdLine: { key: SECRET } } },
  }),
  'a kernel that is a text': (machine) => ({
    ...machine,
    Chipset: { LinuxKernelDirect: { KernelCmdLine: [SECRET] } },
  }),
};

const SETTINGS: Readonly<Record<string, object>> = {
  'credentials of containers': {
    PropertyType: 'ContainerCredentialGuard',
    Settings: { Operation: 'AddInstance', OperationDetails: spec },
  },
  'what no CPU group has': {
    PropertyType: 'CpuGroup',
    Settings: { Operation: 'CreateGroup', OperationDetails: spec },
  },
  'an operation that is a list': { PropertyType: 'CpuGroup', Settings: { Operation: [SECRET] } },
  'settings that are a list': { PropertyType: 'CpuGroup', Settings: [SECRET] },
};

describe('a secret of a document is not repeated', () => {
  test.each(Object.keys(DOCUMENTS))('when a machine is refused for %s', async (name) => {
    const words = await failureOf(() => create(`${ID}-refused`, DOCUMENTS[name]!));
    expect(words).toContain('HcsCreateComputeSystem failed');
    expect(words).not.toContain(SECRET);
  });

  test.each([
    ['Container', { Container: { ContainerCredentialGuard: spec, RegistryChanges: Registry } }],
    [
      'credentials that are no text',
      { Container: { ContainerCredentialGuard: { Cookie: [SECRET] } } },
    ],
  ])('when a document is refused: %s', async (_, document) => {
    const { core } = service;
    const words = await failureOf(() =>
      ComputeSystem.create(`${ID}-refused`, document as object, { core }),
    );
    expect(words).toContain('HcsCreateComputeSystem failed');
    expect(words).not.toContain(SECRET);
  });

  test('when a text is no JSON', async () => {
    const { core } = service;
    for (const text of [`{"a": ${SECRET}}`, `{"KernelCmdLine": "${SECRET}" 1}`]) {
      const operation = core.HcsCreateOperation(null, null);
      const words = await failureOf(async () =>
        core.HcsCreateComputeSystem(`${ID}-no`, text, operation, null),
      );
      core.HcsCloseOperation(operation);
      expect(words).toContain('is not JSON');
      expect(words).not.toContain(SECRET.slice(0, 4));
    }
  });

  test.each([
    [
      'ServiceTable',
      `VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/${socket}`,
      descriptor,
    ],
    [
      'ServiceTable',
      `VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/${socket}`,
      [SECRET],
    ],
    ['RegistryChanges', 'VirtualMachine/RegistryChanges', Registry],
    ['Memory', 'VirtualMachine/ComputeTopology/Memory/SizeInMB', { key: SECRET }],
    ['ContainerCredentialGuard', 'Container/CredentialGuard', spec],
    ['Scsi', 'VirtualMachine/Devices/Scsi/disks/Attachments/0', { Type: { key: SECRET } }],
  ])('when a change of %s is refused', async (_, ResourcePath, Settings) => {
    const words = await failureOf(() =>
      system.modify({ ResourcePath, RequestType: 'Update', Settings }),
    );
    expect(words).toContain('HcsModifyComputeSystem failed');
    expect(words).not.toContain(SECRET);
  });

  test.each(Object.keys(SETTINGS))('when the service is refused %s', async (name) => {
    const words = await failureOf(() =>
      service.core.HcsModifyServiceSettings(JSON.stringify(SETTINGS[name])),
    );
    expect(words).toContain('HcsModifyServiceSettings failed');
    expect(words).not.toContain(SECRET);
  });
});

describe('a secret of a machine that runs', () => {
  test('is in no list of processes, nor in what they are given', () => {
    const [qemu = 0] = processesOf(ID);
    expect(qemu).toBeGreaterThan(0);
    for (const file of ['cmdline', 'environ'] as const) {
      const found = processes((id) => readFileSync(`/proc/${id}/${file}`).includes(SECRET));
      expect([file, found]).toEqual([file, []]);
    }
    // Who runs as the service itself has its environment, which nobody else can read.
    const environment = readFileSync(`/proc/${qemu}/environ`, 'utf8');
    expect(environment.includes(OF_SERVICE)).toBe(process.getuid?.() !== 0);
  });

  test('is with its owner alone where it has to be kept: the state, from which machines go on', async () => {
    const saved = join(folder, 'saved.vmrs');
    await system.pause();
    await system.save({ SaveType: 'ToFile', SaveStateFilePath: saved });
    const report = { SystemId: ID, CrashLog: `key=${SECRET}` };
    await service.core.HcsSubmitWerReport(JSON.stringify(report));
    expect(statSync(state).mode & 0o777).toBe(0o700);
    const kept = filesWith(SECRET, folder);
    expect(new Set(Object.values(kept))).toEqual(new Set(['600']));
    const own = relative(folder, folderOf(ID));
    expect(Object.keys(kept)).toEqual(
      expect.arrayContaining([
        'saved.vmrs',
        join(own, 'kernel-options'),
        expect.stringMatching(/^state\/.*\.db/),
        expect.stringMatching(/^state\/reports\/.*\/report\.json$/),
      ]),
    );
    const others = Object.keys(kept).filter(
      (name) =>
        !/^saved\.vmrs$|\/kernel-options$|^state\/[^/]*\.db|^state\/(?:reports|copies)\//.test(
          name,
        ),
    );
    expect(others).toEqual([]);
  });

  test('is in no log: what the daemon says, who did what, what QEMU prints', async () => {
    await expect
      .poll(() => readFileSync(join(state, 'audit.log'), 'utf8'))
      .toContain('HcsCreateComputeSystem');
    for (const text of [
      said,
      readFileSync(join(state, 'audit.log'), 'utf8'),
      readFileSync(join(folderOf(ID), 'output'), 'utf8'),
    ]) {
      expect(text).not.toContain(SECRET);
      expect(text).not.toContain(OF_SERVICE);
    }
    expect(said).toContain('has come');
  });
});
