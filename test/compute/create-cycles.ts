import { setImmediate as turn } from 'node:timers/promises';
import { INFINITE } from '../../src/hcs/core/constants.ts';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';

/**
 * Creates and terminates systems on the simulated host, and prints by how many bytes the process has grown:
 * `node --expose-gc --import tsx --conditions=hdvkit-source test/compute/create-cycles.ts 10000`.
 */
const cycles = Number(process.argv[2] ?? 1000);
/** After these, code is compiled and heaps have found their size. */
const WARM_UP = 3000;

const host = createSimulatedHost();
const core = host.computeCore;
const document = JSON.stringify({
  ShouldTerminateOnLastHandleClosed: true,
  VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 2 } } },
});
let exits = 0;

async function cycle(id: string): Promise<void> {
  const operation = core.HcsCreateOperation(null, null);
  const system = core.HcsCreateComputeSystem(id, document, operation, null);
  core.HcsSetComputeSystemCallback(system, 0, null, () => exits++);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  core.HcsStartComputeSystem(system, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  core.HcsTerminateComputeSystem(system, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  await turn();
  core.HcsCloseOperation(operation);
  await core.HcsCloseComputeSystem(system);
}

async function size(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    await turn();
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  used = heapUsed + external;
  return rss;
}

let used = 0;
for (let i = 0; i < WARM_UP; i++) await cycle(`warm ${i}`);
const before = await size();
const usedBefore = used;
for (let i = 0; i < cycles; i++) await cycle(`vm ${i}`);
const after = await size();
await host.close();
const report = { cycles, exits, grown: after - before, used: used - usedBefore };
process.stdout.write(`${JSON.stringify(report)}\n`);
