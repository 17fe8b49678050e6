import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { LinuxGuest } from '../../src/engines/qemu/linux-guest.ts';
import { processesOf } from './machine-processes.ts';

const LONG = process.env.HDVKIT_LONG === '1';
const CLONES = LONG ? 64 : 6;
const TIMEOUT = LONG ? 1_800_000 : 300_000;
/** No other run has machines of this name. */
const TEMPLATE_ID = `hdvkit-${randomUUID()}`;
const cloneId = (index: number): string => `${TEMPLATE_ID}-${index}`;
/** What an idle clone of 256 MiB may have of its own. */
const MOST_PRIVATE_MIB = 40;

const engine = new QemuEngine();
let folder: string;
let guest: LinuxGuest;
const cleanups: (() => Promise<void>)[] = [];

async function run(id: string, template?: string): Promise<GuestAgent> {
  const socket = join(folder, `${id}.sock`);
  const { VirtualMachine } = guest.document;
  const machine = await engine.create({
    id,
    runtimeId: randomUUID(),
    document: {
      VirtualMachine: { ...VirtualMachine, Devices: { ComPorts: { '1': { NamedPipe: socket } } } },
    },
    template,
    exited: () => {},
    notify: () => {},
  });
  cleanups.push(() => machine.terminate());
  await machine.start([]);
  const agent = await GuestAgent.connect(socket);
  if (template === undefined) {
    await agent.run('echo of the template > /tmp/note');
    await agent[Symbol.asyncDispose]();
    await machine.pause();
    await machine.save({ kind: 'template' });
  }
  return agent;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvm-'));
  guest = await LinuxGuest.prepare({ memory: 256 });
  await run(TEMPLATE_ID);
});

afterAll(async () => {
  await Promise.all(cleanups.map((cleanup) => cleanup()));
  guest?.[Symbol.dispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}, TIMEOUT);

/** MiB that a process shares with nobody (proc(5): smaps_rollup). */
function privateMiB(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kilobytes = [...text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB/gm)];
  return kilobytes.reduce((sum, [, number]) => sum + Number(number), 0) / 1024;
}

function figures(numbers: readonly number[]): string {
  const sorted = [...numbers].sort((one, other) => one - other).map((each) => each.toFixed(1));
  return `${sorted[0]} to ${sorted.at(-1)}, median ${sorted[sorted.length >> 1]}`;
}

test(
  `${CLONES} clones of one template run at once, each small and with memory of its own`,
  async () => {
    const agents: GuestAgent[] = [];
    for (let i = 0; i < CLONES; i++) agents.push(await run(cloneId(i), TEMPLATE_ID));
    for (const [i, agent] of agents.entries()) await agent.run(`echo of ${i} > /tmp/own`);
    for (const [i, agent] of agents.entries()) {
      const { stdout } = await agent.run('cat /tmp/note /tmp/own');
      expect(stdout).toBe(`of the template\nof ${i}\n`);
    }
    const sizes = agents.map((_, i) => privateMiB(processesOf(cloneId(i))[0]!));
    if (LONG) console.log(`MiB of its own, of each clone: ${figures(sizes)}`);
    for (const size of sizes) expect(size).toBeLessThan(MOST_PRIVATE_MIB);
    await Promise.all(agents.map((agent) => agent[Symbol.asyncDispose]()));
  },
  TIMEOUT,
);
