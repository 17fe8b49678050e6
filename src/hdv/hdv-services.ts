import type { PciHost } from '../pci/host.ts';
import type { HdvBinding } from './hdv-binding.ts';
import { HdvDirectAccess } from './hdv-direct-access.ts';
import { HdvError } from './hdv-error.ts';
import { HdvMemory } from './hdv-memory.ts';
import type { HDV_DEVICE } from './vm-device-host.ts';

/**
 * What a function needs of its host, made from the Hdv functions. This is how a function that runs on this thread
 * reaches guest memory and interrupts on every host.
 */
export function hdvServices(
  binding: Pick<HdvBinding, 'vmDeviceHost' | 'platform' | 'capabilities'>,
  device: HDV_DEVICE,
  report: PciHost['report'],
): PciHost {
  const { vmDeviceHost, platform, capabilities } = binding;
  const direct = new HdvDirectAccess(vmDeviceHost, device, platform);
  return {
    capabilities,
    memory: new HdvMemory(vmDeviceHost, device, platform),
    clock: platform.clock(device),
    deliverInterrupt(address, data) {
      try {
        vmDeviceHost.HdvDeliverGuestInterrupt(device, address, data);
      } catch (error) {
        // Delivery fails once the machine is gone; the guest that would miss it is gone too.
        if (!(error instanceof HdvError)) throw error;
      }
    },
    setInterruptLine(asserted) {
      platform.setInterruptLine?.(device, asserted);
    },
    ...(platform.doorbellEvent && { watchDoorbells: direct.watchDoorbells.bind(direct) }),
    ...(platform.section && { barMemory: direct.barMemory.bind(direct) }),
    report,
  };
}
