import { printable } from '../printable.ts';

/** An id on a terminal. Ids have no control characters, but may have what turns the direction of a line around. */
export function shownId(id: string): string {
  return printable(id).replace(
    /[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
