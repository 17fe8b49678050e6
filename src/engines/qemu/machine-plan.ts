import type { PlannedBoot } from './hardware/boot.ts';
import type { PlannedHardware } from './hardware/hardware.ts';
import type { PlannedHosting } from './hardware/hosting.ts';

/** What QEMU is asked to build, read from a ComputeSystem document. */
export interface MachinePlan extends PlannedBoot {
  readonly hardware: PlannedHardware;
  readonly hosting: PlannedHosting;
  readonly memoryMB: number;
  readonly processors: number;
  readonly stopOnReset: boolean;
  /** Sockets of COM1 and COM2; undefined where nothing is connected. */
  readonly comPorts: readonly (string | undefined)[];
  /** Names of the SCSI controllers, in document order. */
  readonly controllers: readonly string[];
  readonly disks: readonly PlannedDisk[];
  readonly storageLimits: PlannedStorageLimits | undefined;
  readonly adapters: readonly PlannedAdapter[];
  readonly persistentMemory: readonly PlannedPersistentMemory[];
  readonly sharedMemory: readonly PlannedSharedRegion[];
  readonly serialPorts: readonly PlannedSerialPort[];
  readonly console: PlannedConsole;
  readonly processorLimits: PlannedProcessorLimits | undefined;
  /** File in which the firmware's variables are kept. Undefined: they end with the machine. */
  readonly guestState: string | undefined;
  /** Undefined: the machine has no TPM. */
  readonly tpm: PlannedTpm | undefined;
  /** Whether what the machine writes to the files of both ends with it. */
  readonly isTransient: boolean;
  /** What is written when the guest crashes. */
  readonly crashFiles: PlannedCrashFiles;
  readonly shares: readonly PlannedShare[];
  /** Undefined: there is no device for sockets between guest and host. */
  readonly hvSocket: PlannedHvSocket | undefined;
  /** File with the state that the machine goes on from. */
  readonly savedState: string | undefined;
}

/** A TPM 2.0. */
export interface PlannedTpm {
  /** File in which it is kept. Undefined: it ends with the machine. */
  readonly state: string | undefined;
}

/** An attachment of a SCSI controller. */
export interface PlannedDisk {
  /** Number of the controller, in document order. */
  readonly controller: number;
  readonly lun: number;
  readonly path: string;
  readonly format: 'raw' | 'vhdx' | 'vpc' | 'qcow2';
  readonly readOnly: boolean;
  readonly isIso: boolean;
  /** Whether the host's page cache is passed by. */
  readonly isUncached: boolean;
  /** Whether what the guest flushes is left to the host's page cache: fast, and lost with the host. */
  readonly ignoresFlushes: boolean;
}

/** What all disks of a machine together may do in a second. */
export interface PlannedStorageLimits {
  /** 0: as many as they like. */
  readonly operations: number;
  readonly bytes: number;
}

/** What a network adapter is connected to. There is no Host Network Service here: who makes the engine says it. */
export type NetworkEndpoint =
  /** A network of its own, translated to sockets of this process's user; needs no rights. */
  | { readonly kind: 'user' }
  /** A tap interface that exists. */
  | { readonly kind: 'tap'; readonly interface: string }
  /** A unix socket where somebody listens, with a frame's length (32 bits, big endian) before each frame. */
  | { readonly kind: 'stream'; readonly path: string };

/** Endpoints by the EndpointId that documents name them by, a GUID. */
export type NetworkEndpoints = Readonly<Record<string, NetworkEndpoint>>;

/** A network adapter of a machine. */
export interface PlannedAdapter {
  /** Its key in the document, in lower case. */
  readonly id: string;
  readonly endpoint: NetworkEndpoint;
  readonly endpointId: string | undefined;
  /** With colons. Undefined: one that follows from the ids of machine and adapter. */
  readonly mac: string | undefined;
  readonly isConnected: boolean;
}

/** An image that the guest has as persistent memory. */
export interface PlannedPersistentMemory {
  readonly number: number;
  readonly path: string;
  readonly readOnly: boolean;
  /** Bytes of the image that the guest has. */
  readonly size: number;
}

/** Where a system keeps shared memory by name (shm_overview(7)). */
export const SHARED_MEMORY_FOLDER = '/dev/shm';

/** Shared memory of this machine that the guest has as BAR 2 of a device (ivshmem). */
export interface PlannedSharedRegion {
  /** SectionName as the document has it. */
  readonly section: string;
  /** Name of the file in {@link SHARED_MEMORY_FOLDER}. */
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  readonly guestWrites: boolean;
}

/** A stream between a unix socket and /dev/virtio-ports/NAME of the guest. */
export interface PlannedSerialPort {
  readonly name: string;
  readonly path: string;
  /** Place on the bus; 1 and up, as 0 is kept for a console. */
  readonly number: number;
  /** Whether it is a console (/dev/hvcN) instead, which has no name. */
  readonly isConsole: boolean;
}

/** What a person has of a machine. */
export interface PlannedConsole {
  /** Undefined: there is no monitor. */
  readonly monitor: PlannedMonitor | undefined;
  readonly keyboard: boolean;
  readonly mouse: boolean;
}

/** A monitor, which people see over VNC. */
export interface PlannedMonitor {
  /** Unix socket on which QEMU serves VNC; undefined: nobody connects. */
  readonly socket: string | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
}

/** What a machine may use of the host's processors. */
export interface PlannedProcessorLimits {
  /** Of each virtual processor, in 1/1000 percent: 100,000 is all of it. 0: no limit. */
  readonly limit: number;
  /** Beside other machines; 100 is usual. 0: not set. */
  readonly weight: number;
}

/** Files that are written when the guest crashes or ends. */
export interface PlannedCrashFiles {
  /** The guest's memory, as a kdump-compressed file. */
  readonly dump: string | undefined;
  /** Bytes that the dump may have; undefined: as many as it takes. */
  readonly dumpLimit: number | undefined;
  /** The whole machine, as HcsSaveComputeSystem saves it. */
  readonly savedState: string | undefined;
  /** The same, where no dump is asked for. */
  readonly savedStateWithoutDump: string | undefined;
  /** The whole machine as it is when its guest shuts down or resets. */
  readonly endState: string | undefined;
}

/** A folder that the guest mounts: by 9p2000.L over virtio, or by virtiofs. */
export interface PlannedShare {
  /** Which list of the document it is in. */
  readonly kind: 'Plan9' | 'VirtualSmb';
  /** What the guest knows it by. */
  readonly tag: string;
  readonly path: string;
  readonly readOnly: boolean;
}

/** Sockets between guest and host. */
export interface PlannedHvSocket {
  /** vsock ports that are services, of the guest or of the host. */
  readonly ports: readonly number[];
  /** Whether the machine waits for an agent of its guest. */
  readonly hasAgent: boolean;
  /** Whether that agent is asked for a sign of life when somebody wants to know. */
  readonly hasHeartbeat: boolean;
}
