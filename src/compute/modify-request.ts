import type { HcsError } from '../hcs/hcs-error.ts';
import type { FlexibleIoDevice, ModifySettingRequest } from '../hcs/schema/documents.ts';
import { shownValue } from '../hcs/schema/shown-value.ts';
import { checkDocument, invalidDocument, parseDocument } from '../hcs/schema/validate.ts';
import type { ResourceChange } from './engine.ts';
import { failure } from './failure.ts';
import { type FlexibleIovEntry, flexibleIovEntry } from './flexible-iov.ts';
import {
  type MatchedPath,
  matchPath,
  nearestPath,
  type ResourceRequest,
  resourceOf,
} from './resource-paths.ts';

/** What a modify request asks for, checked. */
export type Modification =
  | { readonly kind: 'addDevice'; readonly entry: FlexibleIovEntry }
  | { readonly kind: 'removeDevice'; readonly instanceId: string }
  /** Anything but a FlexibleIov device is the engine's. */
  | { readonly kind: 'change'; readonly change: ResourceChange };

/**
 * Refuses a change of what a system of another kind has.
 * @param kind the kind that the system is of
 * @throws HcsError E_INVALIDARG
 */
export function checkKind(name: string, modification: Modification, kind: string): void {
  const path =
    modification.kind === 'change'
      ? modification.change.path
      : 'VirtualMachine/Devices/FlexibleIov';
  if (path.startsWith(`${kind}/`)) return;
  throw failure(
    name,
    'E_INVALIDARG',
    `$.ResourcePath is ${path}, and the system is a ${kind}: use a path that begins with ${kind}/`,
  );
}

/**
 * Reads a ModifySettingRequest.
 * @throws HcsError HCS_E_INVALID_JSON for a malformed document, E_INVALIDARG for a path or request type that does not
 * exist or settings where there must be none, ERROR_NOT_SUPPORTED for a request that the path does not have
 */
export function readModification(name: string, configuration: string): Modification {
  const request = parseDocument<ModifySettingRequest>('ModifySettingRequest', configuration, name);
  const { ResourcePath = '', Settings, GuestRequest } = request;
  if (GuestRequest !== undefined) {
    throw failure(
      name,
      'ERROR_NOT_SUPPORTED',
      '$.GuestRequest cannot be forwarded: the system has no connection to an agent in the guest',
    );
  }
  const matched = matchPath(ResourcePath);
  if (matched === undefined) throw unknownPath(name, ResourcePath);
  const type = requestType(name, ResourcePath, matched, request.RequestType);
  const settings = checkSettings(name, matched, type, Settings);
  const [key = ''] = matched.keys;
  if (matched.path !== 'VirtualMachine/Devices/FlexibleIov/<instance id>') {
    const change = { path: matched.path, keys: matched.keys, request: type, settings };
    return { kind: 'change', change };
  }
  if (type === 'Remove') return { kind: 'removeDevice', instanceId: key };
  const device = settings as FlexibleIoDevice;
  const entry = flexibleIovEntry(name, 'ModifySettingRequest', key, device, '$.Settings');
  return { kind: 'addDevice', entry };
}

function requestType(
  name: string,
  path: string,
  matched: MatchedPath,
  given: ModifySettingRequest['RequestType'],
): ResourceRequest {
  const { requests, otherwise } = resourceOf(matched.path);
  const type = given ?? otherwise;
  if (type === undefined) {
    const choice = requests.map((request) => `"${request}"`).join(' or ');
    throw failure(name, 'E_INVALIDARG', `$.RequestType is missing: write ${choice}`);
  }
  if (requests.includes(type)) return type;
  const remedy =
    type === 'Update' ? 'remove the device and add it again' : `write ${requests.join(' or ')}`;
  throw failure(
    name,
    'ERROR_NOT_SUPPORTED',
    `$.RequestType is ${type}, which ${path} does not have: ${remedy}`,
  );
}

function checkSettings(
  name: string,
  matched: MatchedPath,
  type: ResourceRequest,
  value: unknown,
): unknown {
  const { settings, removesBySettings } = resourceOf(matched.path);
  if (settings === 'none') {
    if (value === undefined) return undefined;
    throw failure(name, 'E_INVALIDARG', `$.Settings must not be there: the path says it all`);
  }
  if (type === 'Remove' && removesBySettings !== true) return undefined;
  if (value === undefined) {
    const what = settings === 'any' || settings === 'number' ? 'value' : `${settings} document`;
    const verb = { Add: 'to add', Remove: 'that names what to remove', Update: 'to set' }[type];
    throw invalidDocument(name, 'ModifySettingRequest', [
      { path: '$.Settings', message: `is missing: it is the ${what} ${verb}` },
    ]);
  }
  if (settings === 'any') return value;
  if (settings !== 'number') return checkDocument(settings, value, name, '$.Settings');
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw invalidDocument(name, 'ModifySettingRequest', [
    { path: '$.Settings', message: `is ${shownValue(value)}: write a number from 0` },
  ]);
}

function unknownPath(name: string, path: string): HcsError {
  const meant = nearestPath(path);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  return failure(name, 'E_INVALIDARG', `$.ResourcePath "${path}" does not exist${hint}`);
}
