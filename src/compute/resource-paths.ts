import { nearest } from '../hcs/schema/nearest.ts';
import type { ObjectType } from '../hcs/schema/schema-types.ts';

/** What a modify request does to a resource. */
export type ResourceRequest = 'Add' | 'Remove' | 'Update';

/**
 * What `Settings` has to be: a document of the schema, a number, nothing at all, or whatever it is where the schema has
 * no type for it.
 */
export type ResourceSettings = ObjectType | 'number' | 'none' | 'any';

interface Resource {
  readonly settings: ResourceSettings;
  readonly requests: readonly ResourceRequest[];
  /** What an absent RequestType means, where clients leave it out. */
  readonly otherwise?: ResourceRequest;
  /** Whether Remove has to name what it removes in its Settings. */
  readonly removesBySettings?: true;
}

const ADD_REMOVE = ['Add', 'Remove'] as const;
const ANY = ['Add', 'Remove', 'Update'] as const;

/**
 * Resource paths that HCS documents (HcsModifyComputeSystem), and Processor/Count, for which it has none; a segment in angle
 * brackets varies.
 */
const RESOURCES = {
  'VirtualMachine/ComputeTopology/Processor/Count': {
    settings: 'number',
    requests: ['Update'],
    otherwise: 'Update',
  },
  'VirtualMachine/ComputeTopology/Processor/CpuGroup': {
    settings: 'CpuGroup',
    requests: ['Update'],
    otherwise: 'Update',
  },
  'VirtualMachine/ComputeTopology/Processor/IdledProcessors': {
    settings: 'IdleProcessorsRequest',
    requests: ['Update'],
  },
  'VirtualMachine/ComputeTopology/Processor/CpuFrequencyPowerCap': {
    settings: 'number',
    requests: ['Update'],
    otherwise: 'Update',
  },
  'VirtualMachine/ComputeTopology/Processor/Limits': {
    settings: 'ProcessorLimits',
    requests: ['Update'],
    otherwise: 'Update',
  },
  'VirtualMachine/ComputeTopology/Memory/SizeInMB': {
    settings: 'number',
    requests: ['Update'],
    otherwise: 'Update',
  },
  'VirtualMachine/ComputeTopology/Gpu': { settings: 'GpuConfiguration', requests: ['Update'] },
  'VirtualMachine/Devices/FlexibleIov/<instance id>': {
    settings: 'FlexibleIoDevice',
    requests: ADD_REMOVE,
  },
  'VirtualMachine/Devices/MappedPipes/<host pipe>': { settings: 'none', requests: ADD_REMOVE },
  'VirtualMachine/Devices/NetworkAdapters/<id>': { settings: 'NetworkAdapter', requests: ANY },
  'VirtualMachine/Devices/Plan9/Shares': {
    settings: 'Plan9Share',
    requests: ANY,
    removesBySettings: true,
  },
  'VirtualMachine/Devices/Scsi/<controller>/Attachments/<lun>': {
    settings: 'Attachment',
    requests: ANY,
  },
  'VirtualMachine/Devices/ComPorts/<port>': { settings: 'ComPort', requests: ANY },
  'VirtualMachine/Devices/SharedMemory/Regions': {
    settings: 'SharedMemoryRegion',
    requests: ADD_REMOVE,
    removesBySettings: true,
  },
  'VirtualMachine/Devices/VirtualPMem/Devices/<number>': {
    settings: 'VirtualPMemDevice',
    requests: ADD_REMOVE,
  },
  'VirtualMachine/Devices/VirtualPMem/Devices/<number>/Mappings/<offset>': {
    settings: 'VirtualPMemMapping',
    requests: ADD_REMOVE,
  },
  'VirtualMachine/Devices/VirtualSmb/Shares': {
    settings: 'VirtualSmbShare',
    requests: ANY,
    removesBySettings: true,
  },
  'VirtualMachine/Devices/VirtualPci/<id>': { settings: 'VirtualPciDevice', requests: ADD_REMOVE },
  'VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/<service id>': {
    settings: 'HvSocketServiceConfig',
    requests: ['Update', 'Remove'],
  },
  'VirtualMachine/Devices/Licensing': { settings: 'any', requests: ['Update'] },
  'Container/MappedDirectories': {
    settings: 'MappedDirectory',
    requests: ADD_REMOVE,
    removesBySettings: true,
  },
  'Container/MappedPipes': {
    settings: 'MappedPipe',
    requests: ADD_REMOVE,
    removesBySettings: true,
  },
  'Container/Memory/SizeInMB': { settings: 'number', requests: ['Update'], otherwise: 'Update' },
  'Container/Processor': { settings: 'Container_Processor', requests: ['Update'] },
  'Container/Devices/Generic': {
    settings: 'Device',
    requests: ADD_REMOVE,
    removesBySettings: true,
  },
  'Container/RegistryFlushState': { settings: 'RegistryFlushState', requests: ['Update'] },
} as const satisfies Readonly<Record<string, Resource>>;

/** A documented resource path, with what varies in angle brackets. */
export type ResourcePath = keyof typeof RESOURCES;

/** Every {@link ResourcePath}. */
export const RESOURCE_PATHS = Object.keys(RESOURCES) as readonly ResourcePath[];

/** What a resource takes. */
export function resourceOf(path: ResourcePath): Resource {
  return RESOURCES[path];
}

/** A path of a request, recognised. */
export interface MatchedPath {
  readonly path: ResourcePath;
  /** What stands in the places that vary, in order, without braces around GUIDs. */
  readonly keys: readonly string[];
}

const PATTERNS: readonly (readonly [ResourcePath, RegExp])[] = RESOURCE_PATHS.map((path) => [
  path,
  pathPattern(path),
]);

/** Finds the documented path that a path is of; undefined when there is none. */
export function matchPath(path: string): MatchedPath | undefined {
  for (const [known, pattern] of PATTERNS) {
    const match = pattern.exec(path);
    if (match !== null) return { path: known, keys: match.slice(1) };
  }
  return undefined;
}

/** The documented path that a misspelt one most likely means; what varies in it does not count. */
export function nearestPath(path: string): ResourcePath | undefined {
  const segments = path.split('/');
  const filled = new Map<string, ResourcePath>();
  for (const known of RESOURCE_PATHS) {
    const parts = known.split('/');
    if (parts.length !== segments.length) continue;
    const text = parts.map((part, i) => (part.startsWith('<') ? segments[i] : part)).join('/');
    filled.set(text, known);
  }
  const text = nearest(path, [...filled.keys()]);
  return text === undefined ? undefined : filled.get(text);
}

/** A pipe's path has slashes of its own; GUIDs may stand in braces. */
function pathPattern(path: string): RegExp {
  const parts = path.split('/').map((part) => {
    if (part === '<host pipe>') return '(.+)';
    return part.startsWith('<') ? '\\{?([^/{}]+)\\}?' : part;
  });
  return new RegExp(`^${parts.join('/')}$`);
}
