import type {
  Service_PropertyQuery,
  System_PropertyQuery,
} from '../../../src/hcs/schema/documents.ts';
import { type Example, refused } from './example.ts';

/** What is known on a host: fields of the answer that are there, or why a query has no answer. */
export interface Known {
  /** Fields of Properties besides the basic ones. */
  readonly fields?: readonly string[];
  /** Keys of PropertyResponses: what is answered, or words of the reason why not. */
  readonly responses?: Readonly<Record<string, 'answered' | string>>;
}

/** A query for properties of a system. */
export interface AskedExample {
  readonly name: string;
  readonly query: System_PropertyQuery | null;
  readonly linux: Known;
  readonly simulated: Known;
}

/** A query for properties of the service. */
export interface AskedOfService extends Example {
  readonly query: Service_PropertyQuery | null;
}

const nobody = (key: string): string => `nothing on this host answers "${key}"`;
const NOTHING = { linux: {}, simulated: {} };

/** A property type, which is a field of the answer. */
function type(
  name: NonNullable<System_PropertyQuery['PropertyTypes']>[number],
  { linux = [], simulated = [] }: { linux?: readonly string[]; simulated?: readonly string[] },
): AskedExample {
  return {
    name: `6 ${name}`,
    query: { PropertyTypes: [name] },
    linux: { fields: linux },
    simulated: { fields: simulated },
  };
}

/** Queries for properties of a system. */
export const ASKED: readonly AskedExample[] = [
  { name: '6 nothing', query: null, ...NOTHING },
  { name: '6 an empty query', query: {}, ...NOTHING },
  { name: '6 an empty list', query: { PropertyTypes: [] }, ...NOTHING },
  {
    name: '6 statistics and memory',
    query: { PropertyTypes: ['Statistics', 'Memory'] },
    linux: { fields: ['Memory', 'Statistics'] },
    simulated: { fields: ['Memory'] },
  },
  {
    name: '6 by key',
    query: { Queries: { Basic: {}, CompatibilityInfo: {} } },
    linux: { responses: { Basic: 'answered', CompatibilityInfo: nobody('CompatibilityInfo') } },
    simulated: { responses: { Basic: 'answered', CompatibilityInfo: nobody('CompatibilityInfo') } },
  },
  {
    name: '6 the other keys, one of which fails alone',
    query: {
      Queries: {
        Basic: {},
        VmVersion: {},
        VmProcessorRequirements: {},
        ConsoleImage: { Width: 64, Height: 48 },
        KvpExchange: {},
      },
    },
    linux: {
      responses: {
        Basic: 'answered',
        VmVersion: nobody('VmVersion'),
        VmProcessorRequirements: nobody('VmProcessorRequirements'),
        ConsoleImage: 'the machine has no monitor to take a picture of',
        KvpExchange: nobody('KvpExchange'),
      },
    },
    simulated: {
      responses: {
        Basic: 'answered',
        VmVersion: nobody('VmVersion'),
        VmProcessorRequirements: nobody('VmProcessorRequirements'),
        ConsoleImage: nobody('ConsoleImage'),
        KvpExchange: nobody('KvpExchange'),
      },
    },
  },
  type('TerminateOnLastHandleClosed', {
    linux: ['TerminateOnLastHandleClosed'],
    simulated: ['TerminateOnLastHandleClosed'],
  }),
  type('SharedMemoryRegion', { linux: ['SharedMemoryRegionInfo'] }),
  type('GuestMemory', {}),
  type('ProcessorTopology', { linux: ['ProcessorTopology'] }),
  type('ProcessList', {}),
  type('GuestConnection', {}),
  type('ContainerCredentialGuard', {}),
  type('ICHeartbeatStatus', { linux: ['ICHeartbeatStatus'] }),
  type('CpuGroup', {}),
  type('SystemGUID', {}),
];

const RUNS = { linux: 'runs', simulated: 'runs' } as const;

function unanswered(name: string): Pick<Example, 'linux' | 'simulated'> {
  const outcome = refused(
    'E_NOTIMPL',
    '$.PropertyTypes',
    `has ${name}, which nothing on this host`,
  );
  return { linux: outcome, simulated: outcome };
}

/** Queries for properties of the service. */
export const ASKED_OF_SERVICE: readonly AskedOfService[] = [
  { name: '7 nothing', query: null, ...RUNS },
  { name: '7 Basic', query: { PropertyTypes: ['Basic'] }, ...RUNS },
  {
    name: '7 ProcessorCapabilities, by key',
    query: { PropertyQueries: { ProcessorCapabilities: {} } },
    ...RUNS,
  },
  ...(['CpuGroup', 'ProcessorTopology', 'QoSCapabilities', 'Memory'] as const).map((name) => ({
    name: `7 ${name}`,
    query: { PropertyTypes: [name] },
    ...RUNS,
  })),
  ...(
    [
      'ContainerCredentialGuard',
      'CacheAllocation',
      'CacheMonitoring',
      'MemoryBwAllocation',
    ] as const
  ).map((name) => ({
    name: `7 ${name}`,
    query: { PropertyTypes: [name] },
    ...unanswered(name),
  })),
];
