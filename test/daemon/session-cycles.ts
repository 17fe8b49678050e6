import { setImmediate as turn } from 'node:timers/promises';
import { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import { SimulatedEngine } from '../../src/engines/simulated/engine.ts';
import { INFINITE } from '../../src/hcs/core/constants.ts';
import { InProcessDaemon } from './in-process.ts';

/**
 * Clients come, create a system, terminate it and go. Prints by how many bytes the objects of client and daemon have grown:
 * `node --expose-gc --import tsx --conditions=hdvkit-source test/daemon/session-cycles.ts 1000`.
 */
const cycles = Number(process.argv[2] ?? 1000);

const under = new InProcessDaemon({ log: undefined }, { engines: [new SimulatedEngine()] });
const document = JSON.stringify({
  VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 2 } } },
});

async function cycle(): Promise<void> {
  const remote = under.remote();
  const core = new ComputeFunctions(remote);
  const operation = core.HcsCreateOperation(null, null);
  const system = core.HcsCreateComputeSystem('vm', document, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  core.HcsTerminateComputeSystem(system, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  core.HcsCloseOperation(operation);
  await core.HcsCloseComputeSystem(system);
  await remote.close();
  under.forget(remote);
}

async function used(): Promise<number> {
  while (under.daemon.sessionCount > 0) await turn();
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    await turn();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

for (let i = 0; i < cycles; i++) await cycle();
const before = await used();
for (let i = 0; i < cycles; i++) await cycle();
const grown = (await used()) - before;
const { sessionCount, handleCount } = under.daemon;
const left = { sessions: sessionCount, handles: handleCount, systems: under.service.systemCount };
await under.close();
process.stdout.write(`${JSON.stringify({ cycles, grown, left })}\n`);
