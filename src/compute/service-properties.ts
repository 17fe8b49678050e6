import type {
  GetPropertyType,
  Service_PropertyQuery,
  ServiceProperties,
} from '../hcs/schema/documents.ts';
import type { CpuGroups } from './cpu-groups.ts';
import { failure } from './failure.ts';
import type { HostInformation } from './host-information.ts';
import { propertyResponse } from './system-properties.ts';

/** The newest schema version that documents may name: every version from 2.0 to it is understood. */
export const NEWEST_SCHEMA = { Major: 2, Minor: 6 } as const;

/**
 * What the service answers, by property type or query key. `Memory` is a document of this package, as the published
 * schema has none: `{ NumaNodes: HostMemoryNode[] }`.
 */
type Answers = Readonly<Record<string, (host: HostInformation, groups: CpuGroups) => unknown>>;

const TYPES = {
  Basic: () => ({ SupportedSchemaVersions: [NEWEST_SCHEMA] }),
  CpuGroup: (_, groups) => groups.configurations(),
  ProcessorTopology: (host) => {
    const processors = host.logicalProcessors();
    return { LogicalProcessorCount: processors.length, LogicalProcessors: processors };
  },
  // Shares of caches and of memory bandwidth: the types CacheAllocation, CacheMonitoring, MemoryBwAllocation.
  QoSCapabilities: () => ({ ProcessorQoSSupported: false }),
  Memory: (host) => ({ NumaNodes: host.memoryNodes() }),
} satisfies Partial<Record<GetPropertyType, Answers[string]>>;

const KEYS: Answers = {
  ...TYPES,
  ProcessorCapabilities: (host) => host.processorCapabilities(),
};

/**
 * Properties of the service, in the order in which they were asked for.
 * @throws HcsError E_NOTIMPL for a PropertyType that is not answered; an unanswered query fails alone
 */
export function serviceProperties(
  name: string,
  { PropertyTypes, PropertyQueries }: Service_PropertyQuery,
  host: HostInformation,
  groups: CpuGroups,
): ServiceProperties {
  const types = PropertyTypes ?? (PropertyQueries === undefined ? ['Basic' as const] : []);
  const properties = types.map((type) => {
    const answer = (TYPES as Answers)[type];
    if (answer !== undefined) return answer(host, groups);
    throw failure(
      name,
      'E_NOTIMPL',
      `$.PropertyTypes has ${type}, which nothing on this host answers: leave it out`,
    );
  });
  const keys = Object.keys(PropertyQueries ?? {});
  const responses = keys.map((key) => {
    const answer = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
    return [key, propertyResponse(key, answer?.(host, groups))];
  });
  return {
    ...(properties.length === 0 ? {} : { Properties: properties }),
    ...(keys.length === 0 ? {} : { PropertyResponses: Object.fromEntries(responses) }),
  };
}
