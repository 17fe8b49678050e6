import { createHash } from 'node:crypto';

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
