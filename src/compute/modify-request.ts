import type { HcsError } from '../hcs/hcs-error.ts';
import type { FlexibleIoDevice, ModifySettingRequest } from '../hcs/schema/documents.ts';
import { nearest } from '../hcs/schema/nearest.ts';
import { checkDocument, invalidDocument, parseDocument } from '../hcs/schema/validate.ts';
import { failure } from './failure.ts';
import { type FlexibleIovEntry, flexibleIovEntry } from './flexible-iov.ts';

/** What a modify request asks for, checked. */
export type Modification =
  | { readonly kind: 'addDevice'; readonly entry: FlexibleIovEntry }
  | { readonly kind: 'removeDevice'; readonly instanceId: string };

/** Resource paths that HCS documents; a segment in angle brackets varies. Only FlexibleIov is served as yet. */
const RESOURCE_PATHS = [
  'VirtualMachine/ComputeTopology/Processor/CpuGroup',
  'VirtualMachine/ComputeTopology/Processor/IdledProcessors',
  'VirtualMachine/ComputeTopology/Processor/CpuFrequencyPowerCap',
  'VirtualMachine/ComputeTopology/Processor/Limits',
  'VirtualMachine/ComputeTopology/Memory/SizeInMB',
  'VirtualMachine/ComputeTopology/Gpu',
  'VirtualMachine/Devices/FlexibleIov/<instance id>',
  'VirtualMachine/Devices/MappedPipes/<host pipe>',
  'VirtualMachine/Devices/NetworkAdapters/<id>',
  'VirtualMachine/Devices/Plan9/Shares',
  'VirtualMachine/Devices/Scsi/<controller>/Attachments/<lun>',
  'VirtualMachine/Devices/ComPorts/<port>',
  'VirtualMachine/Devices/SharedMemory/Regions',
  'VirtualMachine/Devices/VirtualPMem/Devices/<number>',
  'VirtualMachine/Devices/VirtualPMem/Devices/<number>/Mappings/<offset>',
  'VirtualMachine/Devices/VirtualSmb/Shares',
  'VirtualMachine/Devices/VirtualPci/<id>',
  'VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/<service id>',
  'VirtualMachine/Devices/Licensing',
  'Container/MappedDirectories',
  'Container/MappedPipes',
  'Container/Memory/SizeInMB',
  'Container/Processor',
  'Container/Devices/Generic',
  'Container/RegistryFlushState',
] as const;

const FLEXIBLE_IOV = /^VirtualMachine\/Devices\/FlexibleIov\/\{?([^/{}]+)\}?$/;

/**
 * Reads a ModifySettingRequest.
 * @throws HcsError HCS_E_INVALID_JSON for a malformed document, E_INVALIDARG for a path or request type that does not
 * exist, ERROR_NOT_SUPPORTED for one that does and is not served
 */
export function readModification(name: string, configuration: string): Modification {
  const request = parseDocument<ModifySettingRequest>('ModifySettingRequest', configuration, name);
  const { ResourcePath = '', RequestType, Settings, GuestRequest } = request;
  if (GuestRequest !== undefined) {
    throw failure(
      name,
      'ERROR_NOT_SUPPORTED',
      '$.GuestRequest cannot be forwarded: the system has no connection to an agent in the guest',
    );
  }
  const instanceId = FLEXIBLE_IOV.exec(ResourcePath)?.[1];
  if (instanceId === undefined) throw unknownPath(name, ResourcePath);
  switch (RequestType) {
    case 'Add': {
      if (Settings === undefined) {
        throw invalidDocument(name, 'ModifySettingRequest', [
          { path: '$.Settings', message: 'is missing: it is the FlexibleIoDevice document to add' },
        ]);
      }
      const device = checkDocument<FlexibleIoDevice>(
        'FlexibleIoDevice',
        Settings,
        name,
        '$.Settings',
      );
      const entry = flexibleIovEntry(
        name,
        'ModifySettingRequest',
        instanceId,
        device,
        '$.Settings',
      );
      return { kind: 'addDevice', entry };
    }
    case 'Remove':
      return { kind: 'removeDevice', instanceId };
    case 'Update':
      throw failure(
        name,
        'ERROR_NOT_SUPPORTED',
        `$.RequestType is Update, which ${ResourcePath} does not have: remove the device and add it again`,
      );
    default:
      throw failure(name, 'E_INVALIDARG', '$.RequestType is missing: write "Add" or "Remove"');
  }
}

function unknownPath(name: string, path: string): HcsError {
  const isKnown = RESOURCE_PATHS.some((known) => pathPattern(known).test(path));
  if (isKnown) {
    return failure(
      name,
      'ERROR_NOT_SUPPORTED',
      `$.ResourcePath ${path} cannot be changed on this host`,
    );
  }
  const meant = nearestPath(path);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  return failure(name, 'E_INVALIDARG', `$.ResourcePath "${path}" does not exist${hint}`);
}

/** The documented path that a misspelt one most likely means; what varies in it does not count. */
function nearestPath(path: string): string | undefined {
  const segments = path.split('/');
  const filled = new Map<string, string>();
  for (const known of RESOURCE_PATHS) {
    const parts = known.split('/');
    if (parts.length !== segments.length) continue;
    const text = parts.map((part, i) => (part.startsWith('<') ? segments[i] : part)).join('/');
    filled.set(text, known);
  }
  const text = nearest(path, [...filled.keys()]);
  return text === undefined ? undefined : filled.get(text);
}

function pathPattern(path: string): RegExp {
  const parts = path
    .split('/')
    .map((part) => (part === '<host pipe>' ? '.+' : part.startsWith('<') ? '[^/]+' : part));
  return new RegExp(`^${parts.join('/')}$`);
}
