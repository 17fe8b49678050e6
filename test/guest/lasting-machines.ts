import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ResourceChange } from '../../src/compute/engine.ts';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import { tinyKernel } from './tiny-kernel.ts';

/** What the program machine-owner.ts is to do. */
export interface OwnerRequest {
  /** Folder of the engine; kernel and sockets are beside it. */
  readonly folder: string;
  readonly machines: readonly {
    readonly id: string;
    readonly state: 'Created' | 'Running' | 'Paused' | 'SavedAsTemplate';
    /** Whether it is given a network adapter that its record does not know of. */
    readonly isAhead?: boolean;
    /** A folder that it shares over virtiofs. */
    readonly share?: string;
  }[];
}

/** The document of a machine that boots nothing, or {@link tinyKernel}. */
export function machineDocument(
  folder: string,
  id: string,
  share?: string,
): Record<string, unknown> {
  const kernel = join(folder, '..', 'kernel');
  writeFileSync(kernel, tinyKernel());
  return {
    SchemaVersion: { Major: 2, Minor: 1 },
    VirtualMachine: {
      Chipset: { LinuxKernelDirect: { KernelFilePath: kernel } },
      ComputeTopology: { Memory: { SizeInMB: 64 }, Processor: { Count: 1 } },
      Devices: {
        ComPorts: { '0': { NamedPipe: join(folder, '..', id) } },
        ...(share === undefined
          ? {}
          : { VirtualSmb: { Shares: [{ Name: 'share', Path: share }] } }),
      },
    },
  };
}

/** The change that adds a network adapter. */
export function addAdapter(id: string): ResourceChange {
  const path = 'VirtualMachine/Devices/NetworkAdapters/<id>';
  return { path, keys: [id], request: 'Add', settings: {} };
}

/** An engine over machines that outlive it. */
export function lastingEngine(folder: string): QemuEngine {
  return new QemuEngine({ outlives: true, folder, memoryRoom: 0 });
}
