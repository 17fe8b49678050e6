import type { ResourceChange } from '../../../compute/engine.ts';
import type { ResourcePath } from '../../../compute/resource-paths.ts';
import type { LiveMachine } from '../live-machine.ts';
import { changeComPort } from './com-port.ts';
import { changeService } from './hv-socket.ts';
import { changeMemory } from './memory.ts';
import { changeAdapter } from './network-adapter.ts';
import { changePersistentMemory } from './persistent-memory.ts';
import { changeCpuGroup, changeProcessorCount, changeProcessorLimits } from './processor.ts';
import { resourceFailure } from './resource-failure.ts';
import { changeAttachment } from './scsi.ts';
import { changeMappedPipe } from './serial-port.ts';
import { changePlan9Share, changeSmbShare } from './share.ts';
import { changeSharedMemory } from './shared-memory.ts';

type Handler = (machine: LiveMachine, change: ResourceChange) => Promise<void>;

/** What changes each resource; a text says why nothing does. */
const HANDLERS: Readonly<Record<ResourcePath, Handler | string>> = {
  'VirtualMachine/ComputeTopology/Processor/Count': changeProcessorCount,
  'VirtualMachine/ComputeTopology/Processor/CpuGroup': changeCpuGroup,
  'VirtualMachine/ComputeTopology/Processor/IdledProcessors':
    'Linux keeps no processors idle for a machine; use Processor/Limits',
  'VirtualMachine/ComputeTopology/Processor/CpuFrequencyPowerCap':
    'frequencies of processors are those of all processes; use Processor/Limits',
  'VirtualMachine/ComputeTopology/Processor/Limits': changeProcessorLimits,
  'VirtualMachine/ComputeTopology/Memory/SizeInMB': changeMemory,
  'VirtualMachine/ComputeTopology/Gpu': 'there is no graphics processor that machines share',
  'VirtualMachine/Devices/FlexibleIov/<instance id>': 'the service adds and removes devices',
  'VirtualMachine/Devices/MappedPipes/<host pipe>': changeMappedPipe,
  'VirtualMachine/Devices/NetworkAdapters/<id>': changeAdapter,
  'VirtualMachine/Devices/Plan9/Shares': changePlan9Share,
  'VirtualMachine/Devices/Scsi/<controller>/Attachments/<lun>': changeAttachment,
  'VirtualMachine/Devices/ComPorts/<port>': changeComPort,
  'VirtualMachine/Devices/SharedMemory/Regions': changeSharedMemory,
  'VirtualMachine/Devices/VirtualPMem/Devices/<number>': changePersistentMemory,
  'VirtualMachine/Devices/VirtualPMem/Devices/<number>/Mappings/<offset>':
    'persistent memory is one image each; add a device for every image',
  'VirtualMachine/Devices/VirtualSmb/Shares': changeSmbShare,
  'VirtualMachine/Devices/VirtualPci/<id>':
    'devices of the host are not assigned to machines; use a FlexibleIov device',
  'VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/<service id>': changeService,
  'VirtualMachine/Devices/Licensing': 'there is no licence to hand on',
  'Container/MappedDirectories': 'the system is a virtual machine',
  'Container/MappedPipes': 'the system is a virtual machine',
  'Container/Memory/SizeInMB': 'the system is a virtual machine',
  'Container/Processor': 'the system is a virtual machine',
  'Container/Devices/Generic': 'the system is a virtual machine',
  'Container/RegistryFlushState': 'the system is a virtual machine',
};

/**
 * Changes a resource of a machine.
 * @throws HcsError ERROR_NOT_SUPPORTED with the reason for one that cannot be changed
 */
export async function changeResource(machine: LiveMachine, change: ResourceChange): Promise<void> {
  const handler = HANDLERS[change.path];
  if (typeof handler !== 'string') return await handler(machine, change);
  throw resourceFailure(
    'ERROR_NOT_SUPPORTED',
    `$.ResourcePath is ${change.path}, which cannot be changed on this host: ${handler}`,
  );
}
