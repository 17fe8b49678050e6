import type { ComputeCore } from '../../src/hcs/compute-core.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import type { ComputeSystem } from '../../src/hcs/schema/documents.ts';
import type { SystemEvent } from '../../src/hcs/system-event.ts';

/** Never called: what must compile, and what must not. */
export function contract(core: ComputeCore, system: HCS_SYSTEM, operation: HCS_OPERATION): void {
  core.HcsStartComputeSystem(system, operation, null);
  // @ts-expect-error an operation is no system
  core.HcsStartComputeSystem(operation, operation, null);
  // @ts-expect-error a number that nobody handed out is no handle
  core.HcsCloseOperation(7n);
  // @ts-expect-error waiting is asynchronous on every host
  const text: string | null = core.HcsWaitForOperationResult(operation, 0);
  void text;
}

/** Documents are plain objects; misspelt keys and values do not compile. */
export const documents = [
  { VirtualMachine: { Devices: { FlexibleIov: { a: { HostingModel: 'External' } } } } },
  // @ts-expect-error the key is LinuxKernelDirect
  { VirtualMachine: { Chipset: { LinuxKernelDirct: {} } } },
  // @ts-expect-error there is no such hosting model
  { VirtualMachine: { Devices: { FlexibleIov: { a: { HostingModel: 'external' } } } } },
] satisfies readonly ComputeSystem[];

/** A switch over the events is checked to be complete. */
export function describe(event: SystemEvent): string {
  switch (event.type) {
    case 'exited':
      return String(event.status.ExitType);
    case 'crashInitiated':
    case 'crashed':
      return String(event.report.CrashLog);
    case 'guestConnectionClosed':
    case 'rdpEnhancedModeChanged':
    case 'serviceDisconnected':
      return event.type;
    default: {
      const none: never = event;
      return none;
    }
  }
}
