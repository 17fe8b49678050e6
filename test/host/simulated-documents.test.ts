import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import { describeDocuments } from './conformance-documents.ts';
import { CREATED } from './documents/created.ts';
import type { Fixtures } from './documents/example.ts';

describeDocuments('simulated', async () => {
  const binding = createSimulatedHost();
  const machineOf = ({ id }: { readonly id: string }) => {
    const machine = binding.machineOf(id);
    if (machine === undefined) throw new Error('The machine has ended');
    return machine;
  };
  const empty = (fixtures: Fixtures) => CREATED[0]!.document(fixtures);
  return {
    binding,
    document: () => ({ VirtualMachine: {} }),
    async prepareFixtures() {},
    running(fixtures) {
      const { VirtualMachine, ...document } = empty(fixtures);
      return { ...document, VirtualMachine: { ...VirtualMachine, Services: { Shutdown: {} } } };
    },
    saved: empty,
    short: empty,
    async listens(system) {
      const machine = machineOf(system);
      machine.onShutDown = () => machine.powerOff();
    },
    async powerOff(system) {
      machineOf(system).powerOff();
    },
    async fail(system) {
      // No guest program handles it.
      machineOf(system).injectNonMaskableInterrupt();
    },
    close: () => binding.close(),
  };
});
