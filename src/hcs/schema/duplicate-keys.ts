const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * How deep objects and arrays are nested in a JSON text; of a text that is no JSON, about that. Texts may be of any size:
 * what has to be found out before they are parsed must not cost more than reading them.
 */
export function nestingDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY) deepest = Math.max(deepest, ++depth);
    else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) depth--;
  }
  return deepest;
}

/**
 * Keys that stand twice in one object of a JSON text, where a parser keeps the last and says nothing.
 * @param text valid JSON
 * @returns for each, the keys and indexes that lead to it, outermost first
 */
export function duplicateKeys(text: string): readonly (readonly string[])[] {
  const found: string[][] = [];
  /** One entry for each open object or array: the keys seen, or undefined for an array. */
  const open: { readonly keys: Set<string> | undefined; at: string }[] = [];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === OPEN_OBJECT) open.push({ keys: new Set(), at: '' });
    else if (code === OPEN_ARRAY) open.push({ keys: undefined, at: '0' });
    else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) open.pop();
    const top = open.at(-1);
    if (code === COMMA && top !== undefined && top.keys === undefined) {
      top.at = String(Number(top.at) + 1);
    }
    if (code !== QUOTE) continue;
    const end = endOfString(text, i);
    if (top?.keys !== undefined && isKey(text, end + 1)) {
      top.at = JSON.parse(text.slice(i, end + 1)) as string;
      if (top.keys.has(top.at)) found.push(open.map(({ at }) => at));
      top.keys.add(top.at);
    }
    i = end;
  }
  return found;
}

/** Index of the quote that ends the string which begins at `start`; of the last character where none does. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code === BACKSLASH) i++;
  }
  return text.length - 1;
}

/** Whether a colon is the next thing that counts. */
function isKey(text: string, start: number): boolean {
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code !== 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) return code === COLON;
  }
  return false;
}
