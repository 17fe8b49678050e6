import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { mmio, PciDevice, ram } from 'hdvkit';
import type { VirtualMachine } from '../../src/hcs/schema/documents.ts';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import { ComputeSystem, DeviceHost } from '../../src/index.ts';

/**
 * Saves machines with a device to a file and restores them on the simulated host, and prints what is left of that:
 * `node --expose-gc --import tsx --conditions=hdvkit-source test/compute/save-cycles.ts 1000`.
 */
const cycles = Number(process.argv[2] ?? 20);
/** After these, code is compiled and heaps have found their size. */
const WARM_UP = Math.min(cycles, 300);

class Memory extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x5a02, classCode: 0xff0000 };
  readonly bytes = Buffer.alloc(64);
  override readonly bars = { 0: mmio(0x1000, { 0: ram(this.bytes) }) };
}

const instanceId = '00000000-0000-4000-8000-000000000001';
const folder = mkdtempSync(join(tmpdir(), 'hdvs-'));
const host = createSimulatedHost();
const core = host.computeCore;
const ComputeTopology = { Memory: { SizeInMB: 2 } };
let restored = 0;

/** Runs a machine to the end of its life. */
async function live(
  id: string,
  fields: VirtualMachine,
  run: (system: ComputeSystem, device: Memory) => Promise<void>,
): Promise<void> {
  const VirtualMachine = { ComputeTopology, ...fields };
  await using system = await ComputeSystem.create(id, { VirtualMachine }, { core });
  await using devices = await DeviceHost.create(system, { binding: host.hdv });
  const device = new Memory();
  await devices.attach(device, { instanceId });
  await system.start();
  await run(system, device);
  await system.terminate();
}

async function cycle(number: number): Promise<void> {
  const SaveStateFilePath = join(folder, 'saved');
  await live(`saved ${number}`, {}, async (system, device) => {
    device.bytes.writeUInt32LE(number);
    host.machineOf(system.id)?.write(0x1000, 4, number);
    await system.pause();
    await system.save({ SaveStateFilePath });
    await system.save({ SaveType: 'AsTemplate' });
    const clone = { RestoreState: { TemplateSystemId: system.id } };
    await live(`clone ${number}`, clone, async (_system, copy) => count(copy, number));
  });
  await live(`again ${number}`, { RestoreState: { SaveStateFilePath } }, async (system, device) => {
    if (host.machineOf(system.id)?.read(0x1000, 4) === number) count(device, number);
  });
  await turn();
}

function count(device: Memory, number: number): void {
  if (device.bytes.readUInt32LE() === number) restored++;
}

function descriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}

async function held(): Promise<{
  readonly rss: number;
  readonly used: number;
  readonly fds: number;
}> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    await turn();
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, used: heapUsed + external, fds: descriptors() };
}

for (let i = 0; i < WARM_UP; i++) await cycle(i);
restored = 0;
const before = await held();
for (let i = 0; i < cycles; i++) await cycle(i);
const after = await held();
const files = readdirSync(folder);
await host.close();
rmSync(folder, { recursive: true });
const report = {
  cycles,
  restored,
  files,
  grown: after.rss - before.rss,
  used: after.used - before.used,
  fds: after.fds - before.fds,
};
process.stdout.write(`${JSON.stringify(report)}\n`);
