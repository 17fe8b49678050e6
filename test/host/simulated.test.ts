import { SimulatedGuestAccess } from 'hdvkit/testing';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import { describeHost, type TestHost } from './conformance.ts';
import { describeRestart } from './conformance-restart.ts';
import { describeEdu } from './edu.ts';

describeHost('simulated', openSimulated);
describeEdu('simulated', openSimulated);
describeRestart('simulated', openSimulated);

async function openSimulated(): Promise<TestHost> {
  const binding = createSimulatedHost();
  return {
    binding,
    document: () => ({
      SchemaVersion: { Major: 2, Minor: 1 },
      Owner: 'hdvkit tests',
      VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 }, Processor: { Count: 1 } } },
    }),
    async guestOf(system) {
      const machine = binding.machineOf(system.id);
      if (machine === undefined) throw new Error('The machine has ended');
      return new SimulatedGuestAccess(machine);
    },
    close: () => binding.close(),
  };
}
