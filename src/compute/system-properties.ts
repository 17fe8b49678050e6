import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';
import type {
  Properties,
  PropertyResponse,
  ResultError,
  System_PropertyQuery,
} from '../hcs/schema/documents.ts';
import type { Cancellation } from './cancellation.ts';
import { failureFrom, resultError } from './failure.ts';
import type { ServedSystem } from './served-system.ts';

/** The basic properties of a system. */
export function basicProperties(system: ServedSystem): Properties {
  const { id, runtimeId, document } = system.plan;
  const { exit } = system;
  return {
    Id: id,
    SystemType: document.Container === undefined ? 'VirtualMachine' : 'Container',
    Name: id,
    RuntimeId: runtimeId,
    ...(document.Owner === undefined ? {} : { Owner: document.Owner }),
    State: system.state,
    ...(exit === undefined ? {} : { Stopped: true, ...exitType(exit.ExitType) }),
  };
}

/**
 * Query keys that need no machine. `ComputeSystem` is the document that the system was created from, for those who find
 * a system that others made; it is of this package, as the published schema has none.
 */
const OWN_KEYS: readonly string[] = ['Basic', 'ComputeSystem'];

/** The answer to a property query. Basic properties can be had of a stopped system too; nothing else can. */
export async function systemProperties(
  name: string,
  system: ServedSystem,
  { PropertyTypes = [], Queries = {} }: System_PropertyQuery,
  cancellation: Cancellation,
): Promise<Properties> {
  const types = PropertyTypes.filter((type) => type !== 'Basic');
  const keys = Object.keys(Queries);
  const asked = [...new Set([...types, ...keys.filter((key) => !OWN_KEYS.includes(key))])];
  const known =
    asked.length === 0 ? {} : await system.properties(name, asked, cancellation, Queries);
  const basic = await system.afterEarlierCalls(() => basicProperties(system), cancellation);
  const ownKeys: Readonly<Record<string, unknown>> = {
    Basic: basic,
    ComputeSystem: system.plan.document,
  };
  const answer: Record<string, unknown> = { ...basic };
  for (const type of types) {
    if (known[type] instanceof HcsError) throw failureFrom(name, known[type]);
    Object.assign(answer, ownProperty(system, type, known));
  }
  if (keys.length > 0) {
    answer.PropertyResponses = Object.fromEntries(
      keys.map((key) => [
        key,
        propertyResponse(key, (OWN_KEYS.includes(key) ? ownKeys : known)[key]),
      ]),
    );
  }
  return answer;
}

function exitType(type: Properties['ExitType']): Pick<Properties, 'ExitType'> {
  return type === undefined ? {} : { ExitType: type };
}

/** Field of Properties for each type whose field has another name. */
const FIELDS: Readonly<Record<string, string>> = {
  SharedMemoryRegion: 'SharedMemoryRegionInfo',
  GuestConnection: 'GuestConnectionInfo',
};

function ownProperty(
  system: ServedSystem,
  type: string,
  known: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  if (type === 'TerminateOnLastHandleClosed') {
    const value = system.plan.document.ShouldTerminateOnLastHandleClosed ?? false;
    return { TerminateOnLastHandleClosed: value };
  }
  return known[type] === undefined ? {} : { [FIELDS[type] ?? type]: known[type] };
}

/** One element of PropertyResponses: a key that nobody answers, or that cannot be answered (an HcsError), fails alone. */
export function propertyResponse(key: string, value: unknown): PropertyResponse {
  if (value !== undefined && !(value instanceof HcsError)) return { Response: value };
  const document =
    value === undefined
      ? resultError(HRESULT.E_NOTIMPL, `nothing on this host answers "${key}"`)
      : resultError(value.hresult, value.reason);
  return { Error: JSON.parse(document) as ResultError };
}
