/**
 * How long until a machine of the linux host runs: made anew, as a clone, and from a file? Without the guest's own boot.
 *
 * `--rounds N` measures another number of times than 15.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needsGrants } from '../src/cli/vm/grant-files.ts';
import type { EngineSystem } from '../src/compute/engine.ts';
import { QemuEngine } from '../src/engines/qemu/engine.ts';
import { GuestAgent } from '../src/engines/qemu/guest-agent.ts';
import { LinuxGuest } from '../src/engines/qemu/linux-guest.ts';
import { findQemu } from '../src/provision/find-qemu.ts';
import { count, print } from './report.ts';

const ROUNDS = count('--rounds', 15);
const MEMORY_MB = 256;
const TEMPLATE_ID = 'hdvkit-bench-template';

const engine = new QemuEngine();
const folder = mkdtempSync(join(tmpdir(), 'hdvb-'));
const guest = await LinuxGuest.prepare({ memory: MEMORY_MB });
const saved = join(folder, 'saved');

interface Made {
  readonly machine: EngineSystem;
  readonly socket: string;
  readonly ms: number;
}

/** Milliseconds from the request to a machine that runs. */
async function make(
  id: string,
  source: { readonly template?: string; readonly file?: string } = {},
): Promise<Made> {
  const socket = join(folder, `${randomUUID().slice(0, 8)}.sock`);
  const { VirtualMachine } = guest.document;
  const runtimeId = randomUUID();
  if (source.file !== undefined && needsGrants('linux')) {
    await engine.files.grant({ kind: 'vm', systemId: id, runtimeId }, source.file);
  }
  const begin = performance.now();
  const machine = await engine.create({
    id,
    runtimeId,
    document: {
      VirtualMachine: {
        ...VirtualMachine,
        Devices: { ComPorts: { '1': { NamedPipe: socket } } },
        ...(source.file === undefined ? {} : { RestoreState: { SaveStateFilePath: source.file } }),
      },
    },
    template: source.template,
    exited: () => {},
    notify: () => {},
  });
  await machine.start([]);
  return { machine, socket, ms: performance.now() - begin };
}

async function rounds(source: Parameters<typeof make>[1]): Promise<number[]> {
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const { machine, ms } = await make(`hdvkit-bench-${round}`, source);
    samples.push(ms);
    await machine.terminate();
  }
  return samples;
}

/** Milliseconds for each save of a machine that ran in between. */
async function saves(machine: EngineSystem): Promise<number[]> {
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await machine.pause();
    const begin = performance.now();
    await machine.save({ kind: 'file', path: saved });
    samples.push(performance.now() - begin);
    await machine.resume();
  }
  return samples;
}

try {
  const created = await rounds({});
  const template = await make(TEMPLATE_ID);
  await (await GuestAgent.connect(template.socket))[Symbol.asyncDispose]();
  const saving = await saves(template.machine);
  await template.machine.pause();
  await template.machine.save({ kind: 'template' });
  const cloned = await rounds({ template: TEMPLATE_ID });
  const restored = await rounds({ file: saved });
  await template.machine.terminate();
  const { version } = await findQemu();
  print({
    title: 'How long until a machine of the linux host runs, without its own boot?',
    measurements: [
      { name: 'created → running', unit: 'ms', samples: created },
      { name: 'clone of a template → running', unit: 'ms', samples: cloned },
      { name: `saved, ${MEMORY_MB} MiB`, unit: 'ms', samples: saving },
      { name: `saved file, ${MEMORY_MB} MiB → running`, unit: 'ms', samples: restored },
    ],
    versions: { qemu: version },
  });
} finally {
  guest[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
}
