/**
 * Keys that stand twice in one object of a JSON text, where a parser keeps the last and says nothing.
 * @param text valid JSON
 * @returns for each, the keys and indexes that lead to it, outermost first
 */
export function duplicateKeys(text: string): readonly (readonly string[])[] {
  const found: string[][] = [];
  /** One entry for each open object or array: the keys seen, or undefined for an array. */
  const open: { readonly keys: Set<string> | undefined; at: string }[] = [];
  // Of a valid text, strings and these six characters are all that matters.
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\],]/g)) {
    const top = open.at(-1);
    if (token === '{') open.push({ keys: new Set(), at: '' });
    else if (token === '[') open.push({ keys: undefined, at: '0' });
    else if (token === '}' || token === ']') open.pop();
    else if (top === undefined) continue;
    else if (token === ',') {
      if (top.keys === undefined) top.at = String(Number(top.at) + 1);
    } else if (token.endsWith(':') && top.keys !== undefined) {
      top.at = JSON.parse(token.slice(0, -1)) as string;
      if (top.keys.has(top.at)) found.push(open.map(({ at }) => at));
      top.keys.add(top.at);
    }
  }
  return found;
}
