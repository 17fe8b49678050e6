import type { ComputeSystem } from '../../hcs/compute-system.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import type {
  ComputeSystem as Document,
  System_PropertyQuery,
} from '../../hcs/schema/documents.ts';

/** The query by which services of this package tell what a system was created from. */
const QUERY = { Queries: { ComputeSystem: null } } as unknown as System_PropertyQuery;

/** The document that a system was created from; undefined where the service does not tell, as Windows does not. */
export async function documentOf(
  system: ComputeSystem,
  signal?: AbortSignal,
): Promise<Document | undefined> {
  try {
    const { PropertyResponses } = await system.properties(QUERY, signal ? { signal } : {});
    return PropertyResponses?.ComputeSystem?.Response as Document | undefined;
  } catch (error) {
    // A Windows that knows no queries, or not this one.
    if (error instanceof HcsError && REFUSALS.includes(error.code)) return undefined;
    throw error;
  }
}

const REFUSALS: readonly string[] = [
  'E_INVALIDARG',
  'E_NOTIMPL',
  'HCS_E_INVALID_JSON',
  'ERROR_NOT_SUPPORTED',
  'ERROR_INVALID_DATA',
];
