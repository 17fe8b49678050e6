import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import type { ComputeSystem } from '../../src/hcs/schema/documents.ts';
import { type DocumentsHost, describeDocuments } from '../host/conformance-documents.ts';
import { directBoot, savedMachine } from '../host/documents/created.ts';
import { ENDPOINT } from '../host/documents/example.ts';
import { ImageMaker } from './disk-images.ts';
import { openLinuxHost } from './linux-test-host.ts';
import { processesOf } from './machine-processes.ts';
import { tinyKernel } from './tiny-kernel.ts';

const MIB = 1024 * 1024;

/** Modules that the guest has no other reason to load. */
const MODULES = [
  ...['virtio_pci', 'virtio_scsi', 'sd_mod', 'virtio_net', 'virtio_console'],
  ...['virtio_mem', 'virtio_pmem', 'nd_pmem'],
];

describeDocuments('linux', async (): Promise<DocumentsHost> => {
  const host = await openLinuxHost(
    { processors: 2, modules: MODULES },
    { engine: { networkEndpoints: { [ENDPOINT]: { kind: 'user' } } } },
  );
  let agent: GuestAgent;
  let section: string | undefined;
  return {
    ...host,
    async prepareFixtures(fixtures) {
      const { at } = fixtures;
      section = `/dev/shm/${fixtures.section}`;
      writeFileSync(section, Buffer.alloc(MIB));
      writeFileSync(at('vmlinux'), tinyKernel());
      const images = await ImageMaker.start();
      await images.create(at('root.vhdx'), 'vhdx', 8 * MIB, 'x');
      await images.create(at('root.qcow2'), 'qcow2', 8 * MIB, 'x');
      await images.close();
      const { computeCore: core } = host.binding;
      await core.HcsCreateEmptyGuestStateFile(at('vm.vmgs'));
      await core.HcsCreateEmptyRuntimeStateFile(at('vm.vmrs'));
    },
    running(fixtures) {
      const { VirtualMachine: guest = {} } = host.document() as ComputeSystem;
      const devices = { ...guest.Devices, HvSocket: {}, Scsi: { disks: {} } };
      const { VirtualMachine, ...document } = directBoot(fixtures, devices);
      const { LinuxKernelDirect = {} } = guest.Chipset ?? {};
      const Chipset = { ...VirtualMachine?.Chipset, LinuxKernelDirect };
      return {
        ...document,
        VirtualMachine: { ...VirtualMachine, Chipset, Services: { Shutdown: {} } },
      };
    },
    saved: (fixtures) => savedMachine(fixtures, 'root.qcow2'),
    short: (fixtures) => directBoot(fixtures, {}),
    async listens() {
      agent = await host.agent();
    },
    async see(command) {
      return (await agent.run(command)).stdout.trim();
    },
    async powerOff(_system, { at }) {
      const socket = connect(at('com1'));
      await once(socket, 'connect');
      socket.end('x');
    },
    async fail({ id }) {
      for (const pid of processesOf(id)) process.kill(pid, 'SIGKILL');
    },
    async close() {
      await host.close();
      if (section !== undefined) rmSync(section, { force: true });
    },
  };
});
