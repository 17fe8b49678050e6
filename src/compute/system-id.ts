import { createHash } from 'node:crypto';
import { failure } from './failure.ts';

/** Longest id of a system, in UTF-16 units: ids become parts of names of files and objects. */
const LONGEST_ID = 255;

const GUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/** Namespace of the ids below: a random GUID. */
const NAMESPACE = 'e7c3f7a0-3a55-4d3c-9f0c-6a8f1f8f2b51';

/** Whether a text is a GUID as documents write it: no braces. */
export function isGuid(text: string): boolean {
  return GUID.test(text);
}

/**
 * Properties.RuntimeId of a system: its id where that is a GUID, else a GUID made from its name (RFC 9562, version 5).
 */
export function runtimeIdOf(id: string): string {
  if (isGuid(id)) return id.toLowerCase();
  const hash = createHash('sha1')
    .update(Buffer.from(NAMESPACE.replaceAll('-', ''), 'hex'))
    .update(id, 'utf8')
    .digest()
    .subarray(0, 16);
  hash[6] = (hash[6]! & 0x0f) | 0x50;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return [8, 12, 16, 20, 32]
    .map((end, i, ends) => hex.slice(i === 0 ? 0 : ends[i - 1], end))
    .join('-');
}

/**
 * Throws unless a text can be the id of a system or an id space: any characters but control characters and lone
 * surrogates, which no file, process list or log could show.
 * @param what what it is, for the error
 * @throws HcsError E_INVALIDARG
 */
export function checkSystemId(name: string, id: string, what = 'the id'): void {
  if (typeof id !== 'string' || id === '') {
    throw failure(name, 'E_INVALIDARG', `${what} is empty: give each system an id of its own`);
  }
  if (id.length > LONGEST_ID) {
    throw failure(
      name,
      'E_INVALIDARG',
      `${what} has ${id.length} characters, and at most ${LONGEST_ID} fit: "${id.slice(0, 32)}..."`,
    );
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
  if (/[\u0000-\u001f\u007f]|\p{Surrogate}/u.test(id)) {
    throw failure(
      name,
      'E_INVALIDARG',
      `${what} is ${JSON.stringify(id)}: use no control characters and no halves of characters`,
    );
  }
}

/** What tells the systems of a service apart: ids are unique in their id space (`''` for none). */
export function systemKey(idNamespace: string, id: string): string {
  return `${idNamespace}\n${id}`;
}

/** What the directory of device hosts, and the engine, call a system. */
export function directoryIdOf(idNamespace: string, id: string): string {
  return idNamespace === '' ? id : systemKey(idNamespace, id);
}

/** What {@link directoryIdOf} was given. */
export function idsOf(directoryId: string): { readonly idNamespace: string; readonly id: string } {
  const end = directoryId.indexOf('\n');
  if (end < 0) return { idNamespace: '', id: directoryId };
  return { idNamespace: directoryId.slice(0, end), id: directoryId.slice(end + 1) };
}
