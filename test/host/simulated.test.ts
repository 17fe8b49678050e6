import { SimulatedGuestAccess } from 'hdvkit/testing';
import { HCS_EVENT_TYPE } from '../../src/hcs/core/constants.ts';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import { describeHost } from './conformance.ts';
import { describeRestart } from './conformance-restart.ts';
import { describeSave, type SaveTestHost } from './conformance-save.ts';
import { describeEdu } from './edu.ts';

describeHost('simulated', openSimulated);
describeEdu('simulated', openSimulated);
describeRestart('simulated', openSimulated);
describeSave('simulated', openSimulated);

/** Where the guest keeps its note. */
const NOTE = 0x10_0000;

async function openSimulated(): Promise<SaveTestHost> {
  const binding = createSimulatedHost();
  const machineOf = ({ id }: { readonly id: string }) => {
    const machine = binding.machineOf(id);
    if (machine === undefined) throw new Error('The machine has ended');
    return machine;
  };
  return {
    binding,
    document: () => ({
      SchemaVersion: { Major: 2, Minor: 1 },
      Owner: 'hdvkit tests',
      VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 }, Processor: { Count: 1 } } },
    }),
    guestOf: async (system) => new SimulatedGuestAccess(machineOf(system)),
    async noteOf(system) {
      const { ram } = machineOf(system);
      return {
        async read() {
          const bytes = Buffer.alloc(16);
          ram.read(NOTE, bytes);
          return bytes.toString('latin1').replace(/\0+$/, '');
        },
        async write(text) {
          ram.write(NOTE, Buffer.from(text.padEnd(16, '\0'), 'latin1'));
        },
      };
    },
    // Guest programs of a simulated machine have no agent that could be connected.
    neverTells: [HCS_EVENT_TYPE.HcsEventSystemGuestConnectionClosed],
    close: () => binding.close(),
  };
}
