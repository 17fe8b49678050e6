import { ELLIPSIS } from './display-width.ts';

/** The shortest that an id is cut to, where something shorter were unique. */
const SHORTEST = 8;

/**
 * Ids that have at most `width` characters each, or as many as tell them apart: the beginning, and an ellipsis.
 * @param width including the ellipsis
 */
export function shortIds(ids: readonly string[], width: number): string[] {
  const needed = uniqueLengths(ids);
  return ids.map((id) => {
    if (id.length <= width) return id;
    const length = Math.max(needed.get(id) ?? id.length, width - ELLIPSIS.length, SHORTEST);
    return length >= id.length - 1 ? id : wholeCharacters(id, length) + ELLIPSIS;
  });
}

/** How many characters of each id no other one begins with; all of them where another goes on from there. */
export function uniqueLengths(ids: readonly string[]): ReadonlyMap<string, number> {
  // Sorted, an id shares most with one of its neighbours.
  const sorted = [...new Set(ids)].sort();
  return new Map(
    sorted.map((id, at) => {
      const shared = Math.max(
        sharedLength(id, sorted[at - 1] ?? ''),
        sharedLength(id, sorted[at + 1] ?? ''),
      );
      return [id, Math.min(id.length, shared + 1)];
    }),
  );
}

function sharedLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** Never cuts a surrogate pair in half. */
function wholeCharacters(id: string, length: number): string {
  const code = id.charCodeAt(length - 1);
  return id.slice(0, code >= 0xd800 && code < 0xdc00 ? length + 1 : length);
}
