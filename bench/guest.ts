/**
 * What does an access cost a program in a real Linux guest, and how long does the guest take to boot?
 *
 * In the same guest, asked in turns by one program: the sample device edu on its worker, the smallest vfio-user server in
 * C, QEMU's own edu, a page that the guest maps, and QEMU's own memory behind a BAR.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ComputeSystem, DeviceHost } from 'hdvkit';
import { CleanUp } from '../src/cli/clean-up.ts';
import { packageRoot } from '../src/cli/package.ts';
import { ProgressDisplay } from '../src/cli/progress.ts';
import { remark } from '../src/cli/terminal.ts';
import { UsageError } from '../src/cli/usage-error.ts';
import type { GuestAgent } from '../src/engines/qemu/guest-agent.ts';
import { LinuxGuest } from '../src/engines/qemu/linux-guest.ts';
import { createLinuxHost } from '../src/hosts/linux/host.ts';
import { findQemu, type QemuProgram } from '../src/provision/find-qemu.ts';
import { runTool } from '../src/provision/run-tool.ts';
import { moduleExtension } from '../src/transport/typescript-loader.ts';
import { compilePeer } from './peers/compile-peer.ts';
import { count, print, ratio, Samples } from './report.ts';
import { servePeer } from './vfio-user/measured-server.ts';

const ROUNDS = count('--rounds', 15);
const BOOTS = count('--boots', 3);
const DOORBELLS = 1000;
const EDU_MODULE = pathToFileURL(join(packageRoot(), 'sample-devices/edu.ts'));
const MAPPED_MODULE = new URL(`./guest/mapped-device${moduleExtension}`, import.meta.url);
/** Registers of edu (QEMU, docs/specs/edu.rst): what is read, and what is written without effects. */
const Edu = { ID: 0x00, LIVENESS: 0x04, FACTORIAL: 0x08, STATUS: 0x20, RAISE: 0x60 } as const;
const IRQ_WHEN_DONE = 0x80;

/** A device that the guest's program asks. */
interface Subject {
  readonly name: string;
  readonly kind: 'register' | 'mapped';
  readonly bar: number;
  readonly write: number;
  /** Where it is in the guest; ours are found by their ids. */
  readonly bdf: string | readonly [vendorId: number, deviceId: number];
}

/** Slots of the root bus, which nothing else of a q35 machine without default devices has. */
const SLOTS = { edu: 0x1d, peer: 0x1c, memory: 0x1b } as const;

const rootBus = (slot: number): string => `0000:00:${slot.toString(16)}.0`;
const device = (properties: object): string[] => ['-device', JSON.stringify(properties)];

/** Prints nothing, and leaves out of the machine what this QEMU does not have. */
async function qemuDevices(qemu: QemuProgram): Promise<{ args: string[]; subjects: Subject[] }> {
  const help = await runTool(qemu.command, [...qemu.args, '-device', 'help']);
  const has = (name: string): boolean => {
    if (help.stdout.includes(`"${name}"`)) return true;
    remark(`Without QEMU's ${name}: QEMU ${qemu.version} (${qemu.command}) is built without it`);
    return false;
  };
  const args: string[] = [];
  const subjects: Subject[] = [];
  if (has('edu')) {
    args.push(...device({ driver: 'edu', bus: 'pcie.0', addr: SLOTS.edu.toString(16) }));
    const bdf = rootBus(SLOTS.edu);
    subjects.push({ name: 'QEMU', kind: 'register', bar: 0, write: Edu.LIVENESS, bdf });
  }
  if (has('ivshmem-plain')) {
    args.push('-object', 'memory-backend-memfd,id=barmemory,size=1M,share=on');
    const addr = SLOTS.memory.toString(16);
    args.push(...device({ driver: 'ivshmem-plain', memdev: 'barmemory', bus: 'pcie.0', addr }));
    subjects.push({ name: 'QEMU', kind: 'mapped', bar: 2, write: 4, bdf: rootBus(SLOTS.memory) });
  }
  return { args, subjects };
}

/** Boots a guest with the devices, asks all of them, and shuts down. @returns seconds until the guest answered */
async function boot(
  what: {
    readonly program: string;
    readonly subjects: readonly Subject[];
    readonly args: string[];
  },
  rounds: number,
  samples: Samples,
  signal: AbortSignal,
): Promise<number> {
  // What an interruption does not dispose of here ends with this process.
  const host = createLinuxHost({ engine: { extraArgs: what.args, accounts: 'service' } });
  await using _host = { [Symbol.asyncDispose]: () => host.close() };
  using guest = await LinuxGuest.prepare({
    memory: 256,
    files: { '/guest-access': what.program },
  });
  await using system = await ComputeSystem.create(
    `bench-${process.pid}-${rounds}`,
    guest.document,
    { core: host.computeCore, signal },
  );
  await using devices = await DeviceHost.create(system, { binding: host.hdv });
  const attaching = performance.now();
  await devices.attach(EDU_MODULE, { export: 'EduDevice' });
  samples.add(
    'attach of a device on a worker, before the start',
    'ms',
    performance.now() - attaching,
  );
  if (what.subjects.some(({ bdf }) => isOwn(bdf, MAPPED_IDS))) await devices.attach(MAPPED_MODULE);
  const started = performance.now();
  await system.start();
  await using agent = await guest.connectAgent(signal);
  const seconds = (performance.now() - started) / 1000;
  if (rounds > 0) await measure(agent, what.subjects, rounds, samples, signal);
  return seconds;
}

const EDU_IDS = [0x1234, 0x11e8] as const;
const MAPPED_IDS = [0x1234, 0x11ea] as const;

function isOwn(bdf: Subject['bdf'], ids: readonly [number, number]): boolean {
  return typeof bdf !== 'string' && bdf[0] === ids[0] && bdf[1] === ids[1];
}

/** The function with these ids that is not on the root bus, where QEMU's own one is. */
async function find(agent: GuestAgent, bdf: Subject['bdf']): Promise<string> {
  if (typeof bdf === 'string') return bdf;
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    const found = (await agent.find(...bdf)).find((one) => !one.startsWith('0000:00:'));
    if (found !== undefined) return found;
  }
  throw new Error(
    `Cannot find function ${bdf.map((id) => id.toString(16)).join(':')} in the guest`,
  );
}

async function measure(
  agent: GuestAgent,
  subjects: readonly Subject[],
  rounds: number,
  samples: Samples,
  signal: AbortSignal,
): Promise<void> {
  const places: string[] = [];
  const words: string[] = [];
  for (const { bdf, bar, write, kind } of subjects) {
    const place = await find(agent, bdf);
    await agent.enable(place);
    places.push(place);
    words.push(`${place}/${bar}/0/${write.toString(16)}/${kind === 'mapped' ? 'm' : 'r'}`);
  }
  const display = new ProgressDisplay();
  let output = '';
  let errors = '';
  const { exitCode } = await agent.run(`/guest-access ${rounds} ${words.join(' ')}`, {
    signal,
    output: (stream, chunk) => {
      if (stream === 'stderr') errors += chunk.toString('utf8');
      else output += chunk.toString('utf8');
      const done = output.split('\n').length - 1;
      display.update({ step: 'access registers', done, total: rounds * subjects.length });
    },
  });
  display.finish();
  if (exitCode !== 0) {
    throw new Error(`Cannot measure in the guest: its program ended with ${exitCode}: ${errors}`);
  }
  for (const line of output.trim().split('\n')) {
    const [index = Number.NaN, p50 = 0, p99 = 0, write = 0] = line.trim().split(' ').map(Number);
    const subject = subjects[index];
    if (subject === undefined) throw new Error(`Cannot read the guest's answer: ${line}`);
    if (subject.kind === 'mapped') {
      samples.add(`mapped page read: ${subject.name}`, 'ns', p50);
      samples.add(`mapped page write: ${subject.name}`, 'ns', write);
    } else {
      samples.add(`read, p50: ${subject.name}`, 'µs', p50 / 1000);
      samples.add(`read, p99: ${subject.name}`, 'µs', p99 / 1000);
      samples.add(`posted write: ${subject.name}`, 'µs', write / 1000);
    }
  }
  await measureDoorbells(agent, subjects, places, samples, rounds);
}

/** From a write to the message: of edu the factorial's, of QEMU's edu the one that is raised by a register. */
async function measureDoorbells(
  agent: GuestAgent,
  subjects: readonly Subject[],
  places: readonly string[],
  samples: Samples,
  rounds: number,
): Promise<void> {
  const bells = subjects.flatMap(({ name, kind }, index) => {
    const bdf = places[index];
    if (bdf === undefined || kind !== 'register' || name === 'C') return [];
    return [{ name, bdf, offset: name === 'QEMU' ? Edu.RAISE : Edu.FACTORIAL }];
  });
  for (const { name, bdf } of bells) {
    await agent.enableInterrupts(bdf, name === 'QEMU' ? 'msi' : 'msix', name === 'QEMU' ? 1 : 2);
    await agent.writeBar(bdf, 0, Edu.STATUS, 4, IRQ_WHEN_DONE);
  }
  for (let round = -1; round < Math.min(rounds, 5); round++) {
    for (const { name, bdf, offset } of bells) {
      const rings = await agent.measureDoorbell(bdf, 0, offset, 4, 1, 0, DOORBELLS);
      if (round < 0) continue;
      samples.add(`doorbell write to interrupt message, p50: ${name}`, 'µs', rings.p50 / 1000);
      samples.add(`doorbell write to interrupt message, p99: ${name}`, 'µs', rings.p99 / 1000);
    }
  }
}

async function main(): Promise<void> {
  if (process.platform !== 'linux') {
    throw new UsageError(
      `Cannot boot a guest on ${process.platform}: the linux host needs QEMU's vfio-user`,
      'measure on Linux',
    );
  }
  await using cleanUp = new CleanUp();
  const folder = mkdtempSync(join(tmpdir(), 'hdvkit-bench-'));
  cleanUp.add(() => rmSync(folder, { recursive: true, force: true }));
  const { program, compiler } = await compilePeer('guest-access.c', folder, ['-static']);
  const peer = await compilePeer('vfio-user-peer.c', folder);
  const qemu = await findQemu();
  const own = await qemuDevices(qemu);
  const socket = join(folder, 'peer.sock');
  await servePeer(peer.program, socket, cleanUp);
  const addr = SLOTS.peer.toString(16);
  const args = [
    ...own.args,
    ...device({
      driver: 'vfio-user-pci',
      socket: { type: 'unix', path: socket },
      bus: 'pcie.0',
      addr,
    }),
  ];
  const subjects: Subject[] = [
    { name: 'hdvkit', kind: 'register', bar: 0, write: Edu.LIVENESS, bdf: EDU_IDS },
    { name: 'C', kind: 'register', bar: 0, write: Edu.LIVENESS, bdf: rootBus(SLOTS.peer) },
    { name: 'hdvkit', kind: 'mapped', bar: 0, write: 4, bdf: MAPPED_IDS },
    ...own.subjects,
  ];
  const samples = new Samples();
  for (let round = 0; round < BOOTS; round++) {
    const what = { program, subjects, args };
    remark(`Booting a guest, ${round + 1} of ${BOOTS}`);
    const seconds = await boot(what, round === 0 ? ROUNDS : 0, samples, cleanUp.signal);
    samples.add('start of the machine to first answer of the guest', 's', seconds);
  }
  const compare = (what: string, to: string) =>
    ratio(`${what}: hdvkit to ${to}`, samples.of(`${what}: hdvkit`), samples.of(`${what}: ${to}`));
  print({
    title: 'What does an access cost in a real Linux guest (QEMU, TCG)?',
    measurements: [
      ...samples.measurements,
      ...compare('read, p50', 'C'),
      ...compare('read, p50', 'QEMU'),
      ...compare('posted write', 'C'),
      ...compare('posted write', 'QEMU'),
      ...ratio(
        'posted write: C to QEMU',
        samples.of('posted write: C'),
        samples.of('posted write: QEMU'),
      ),
      ...compare('doorbell write to interrupt message, p50', 'QEMU'),
      ...compare('mapped page read', 'QEMU'),
      ...compare('mapped page write', 'QEMU'),
    ],
    versions: { qemu: `QEMU ${qemu.version}`, compiler },
    subjects: {
      hdvkit: 'sample device edu on its worker; a page that the guest maps',
      C: 'the smallest vfio-user server in C',
      QEMU: 'its own edu, and its own memory behind a BAR, in its process',
    },
  });
}

await main();
