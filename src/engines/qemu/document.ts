import { checkFields } from '../../compute/document-fields.ts';
import type {
  ComputeSystem,
  GuestState,
  VirtualMachine_Processor,
} from '../../hcs/schema/documents.ts';
import { planCrashFiles } from './crash-files.ts';
import { creationFailure } from './creation-failure.ts';
import { QEMU_FIELDS, QEMU_OTHERWISE } from './document-fields.ts';
import { documentSockets } from './document-sockets.ts';
import { planBoot } from './hardware/boot.ts';
import { planHardware } from './hardware/hardware.ts';
import { planHosting } from './hardware/hosting.ts';
import { planNuma } from './hardware/numa.ts';
import { requireImage } from './image-file.ts';
import type { MachinePlan, NetworkEndpoints, PlannedProcessorLimits } from './machine-plan.ts';
import { requireFile } from './required-file.ts';
import { planComPorts } from './resources/com-port.ts';
import { planConsole } from './resources/console.ts';
import { planHvSocket } from './resources/hv-socket.ts';
import { adapterDevice, planAdapters } from './resources/network-adapter.ts';
import { planPersistentMemory } from './resources/persistent-memory.ts';
import { planProcessorLimits } from './resources/processor.ts';
import {
  resourceFailure as failure,
  cannotHonour as refusal,
  wholeNumber,
} from './resources/resource-failure.ts';
import { diskId, planDisks, planStorageLimits } from './resources/scsi.ts';
import { planSerialPorts } from './resources/serial-port.ts';
import { planShares } from './resources/share.ts';
import { planSharedMemory } from './resources/shared-memory.ts';
import { planTpm } from './resources/tpm.ts';

const DEFAULT_MEMORY_MB = 512;
const LARGEST_MEMORY_MB = 1024 * 1024;
const MOST_PROCESSORS = 255;

/**
 * Reads the document of a virtual machine, refusing what QEMU is not asked to do for it.
 * @param endpoints what network adapters are connected to
 * @throws HcsError naming the JSON path
 */
export function planMachine(
  document: Readonly<Record<string, unknown>>,
  endpoints: NetworkEndpoints = {},
): MachinePlan {
  try {
    return readMachine(document, endpoints);
  } catch (error) {
    throw creationFailure(error);
  }
}

function readMachine(
  document: Readonly<Record<string, unknown>>,
  endpoints: NetworkEndpoints,
): MachinePlan {
  const machine = (document as ComputeSystem).VirtualMachine;
  if (machine === undefined) {
    throw refusal('$.VirtualMachine', 'this engine runs virtual machines only');
  }
  checkFields('VirtualMachine', machine, QEMU_FIELDS, '$.VirtualMachine', QEMU_OTHERWISE);
  const { ComputeTopology, Devices, RestoreState, StopOnReset = false } = machine;
  const { SaveStateFilePath: savedState, TemplateSystemId } = RestoreState ?? {};
  if (savedState !== undefined) {
    const path = '$.VirtualMachine.RestoreState.SaveStateFilePath';
    if (TemplateSystemId !== undefined) {
      throw failure('E_INVALIDARG', `${path} and TemplateSystemId exclude each other: write one`);
    }
    requireFile(path, savedState);
  }
  const boot = planBoot(machine, {
    disk: (controller, lun) => diskId({ controller, lun }),
    adapter: adapterDevice,
  });
  const crashFiles = planCrashFiles(machine.DebugOptions, Devices?.GuestCrashReporting);
  const topology = '$.VirtualMachine.ComputeTopology';
  const memoryMB = wholeNumber(
    `${topology}.Memory.SizeInMB`,
    ComputeTopology?.Memory?.SizeInMB ?? DEFAULT_MEMORY_MB,
    LARGEST_MEMORY_MB,
  );
  const processors = wholeNumber(
    `${topology}.Processor.Count`,
    ComputeTopology?.Processor?.Count ?? 1,
    MOST_PROCESSORS,
  );
  const { numa, places } = planNuma(topology, ComputeTopology ?? {}, memoryMB, processors);
  const plan: MachinePlan = {
    ...boot,
    hardware: planHardware(machine, numa),
    hosting: planHosting(`${topology}.Memory`, ComputeTopology?.Memory, places),
    memoryMB,
    processors,
    stopOnReset: StopOnReset,
    comPorts: planComPorts(Devices?.ComPorts ?? {}),
    controllers: Object.keys(Devices?.Scsi ?? {}),
    disks: planDisks(Devices?.Scsi ?? {}),
    storageLimits: planStorageLimits(machine.StorageQoS),
    adapters: planAdapters(Devices?.NetworkAdapters ?? {}, endpoints),
    persistentMemory: planPersistentMemory(Devices?.VirtualPMem),
    sharedMemory: planSharedMemory(Devices?.SharedMemory?.Regions ?? []),
    serialPorts: planSerialPorts(Devices?.VirtioSerial?.Ports ?? {}),
    console: planConsole(Devices ?? {}),
    processorLimits: planLimits(`${topology}.Processor`, ComputeTopology?.Processor),
    guestState: planGuestState(machine.GuestState, boot.uefi),
    tpm: planTpm(machine.SecuritySettings, boot.uefi, machine.GuestState),
    isTransient: machine.GuestState?.ForceTransientState ?? false,
    crashFiles,
    shares: planShares(Devices ?? {}),
    hvSocket: planHvSocket(machine, crashFiles),
    savedState,
  };
  documentSockets(plan);
  return plan;
}

function planLimits(
  at: string,
  processor: VirtualMachine_Processor = {},
): PlannedProcessorLimits | undefined {
  const limits = planProcessorLimits(at, processor);
  return limits.limit === 0 && limits.weight === 0 ? undefined : limits;
}

function planGuestState(state: GuestState | undefined, uefi: boolean): string | undefined {
  const { GuestStateFilePath, ForceTransientState = false } = state ?? {};
  if (GuestStateFilePath === undefined) return undefined;
  const at = '$.VirtualMachine.GuestState.GuestStateFilePath';
  if (!uefi) throw refusal(at, 'only UEFI firmware has variables to keep; boot by Chipset.Uefi');
  const { size } = requireImage(at, GuestStateFilePath, !ForceTransientState);
  if (size === 0) {
    throw failure(
      'ERROR_INVALID_DATA',
      `${at} is "${GuestStateFilePath}": the file is empty; make it by HcsCreateEmptyGuestStateFile`,
    );
  }
  // What a transient machine begins with is the file's; what it writes is not.
  return GuestStateFilePath;
}
