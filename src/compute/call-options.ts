import type { HcsError } from '../hcs/hcs-error.ts';
import type { PauseOptions, SaveOptions } from '../hcs/schema/documents.ts';
import type { ObjectType } from '../hcs/schema/schema-types.ts';
import { invalidDocument, parseDocument } from '../hcs/schema/validate.ts';
import type { SaveTarget } from './engine.ts';
import { failure } from './failure.ts';

/** An options or query document; null and `""` stand for one without fields. */
export function readOptions<T extends object>(
  type: ObjectType,
  text: string | null,
  name: string,
): T {
  // No type of the schema asks for a field. Validators are not loaded for this: programs that only look are to be quick.
  if (text === null || text === '') return {} as T;
  return parseDocument<T>(type, text, name);
}

/**
 * What is told to a guest or what it hosts before a pause (HostedNotification) needs no action here: nothing here hosts
 * anything, and a paused machine can be saved whatever the reason was.
 * @throws HcsError ERROR_NOT_SUPPORTED for a level that frees memory
 */
export function checkPauseOptions(
  name: string,
  { SuspensionLevel = 'Suspend' }: PauseOptions,
): void {
  if (SuspensionLevel === 'Suspend') return;
  throw failure(
    name,
    'ERROR_NOT_SUPPORTED',
    `$.SuspensionLevel is ${SuspensionLevel}: a machine of this host keeps its memory while it is paused, use Suspend`,
  );
}

/** Where SaveOptions say that the state goes. @throws HcsError HCS_E_INVALID_JSON for a path too many or too few */
export function saveTarget(name: string, options: SaveOptions): SaveTarget {
  const { SaveType = 'ToFile', SaveStateFilePath: path } = options;
  const problem = (message: string): HcsError =>
    invalidDocument(name, 'SaveOptions', [{ path: '$.SaveStateFilePath', message }]);
  if (SaveType === 'AsTemplate') {
    if (path === undefined) return { kind: 'template' };
    throw problem('is for SaveType ToFile only: leave it out');
  }
  if (path === undefined || path === '') throw problem('is missing: it is the file to write');
  return { kind: 'file', path };
}

/** Options of calls that have none as yet: null, `""` and `{}` are accepted. */
export function refuseOptions(name: string, options: string | null): void {
  if (options === null || options === '') return;
  if (typeof options !== 'string') {
    throw failure(name, 'E_INVALIDARG', `the options are ${String(options)}: pass null`);
  }
  if (options.trim() === '{}') return;
  throw invalidDocument(name, 'options', [{ path: '$', message: 'is reserved: pass null' }]);
}
