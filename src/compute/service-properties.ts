import type {
  BasicInformation,
  Service_PropertyQuery,
  ServiceProperties,
} from '../hcs/schema/documents.ts';
import { failure } from './failure.ts';
import { propertyResponse } from './system-properties.ts';

/** The newest schema version that documents may name: every version from 2.0 to it is understood. */
export const NEWEST_SCHEMA = { Major: 2, Minor: 6 } as const;

/**
 * Properties of the service. `Basic` is the only one as yet.
 * @throws HcsError E_NOTIMPL for a PropertyType that is not answered; an unanswered query fails alone
 */
export function serviceProperties(
  name: string,
  { PropertyTypes, PropertyQueries }: Service_PropertyQuery,
): ServiceProperties {
  const basic: BasicInformation = { SupportedSchemaVersions: [NEWEST_SCHEMA] };
  const types = PropertyTypes ?? (PropertyQueries === undefined ? ['Basic' as const] : []);
  const unknown = types.find((type) => type !== 'Basic');
  if (unknown !== undefined) {
    throw failure(name, 'E_NOTIMPL', `nothing on this host answers the property type ${unknown}`);
  }
  const keys = Object.keys(PropertyQueries ?? {});
  const responses = keys.map((key) => [
    key,
    propertyResponse(key, key === 'Basic' ? basic : undefined),
  ]);
  return {
    ...(types.length === 0 ? {} : { Properties: types.map(() => basic) }),
    ...(keys.length === 0 ? {} : { PropertyResponses: Object.fromEntries(responses) }),
  };
}
