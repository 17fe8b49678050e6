/**
 * The words of a command line that is being typed, as a POSIX shell has them: quotes and backslashes are taken away, an
 * open quote goes on to the end. The last word is the one that is typed; it is empty after a space.
 */
export function shellWords(line: string): readonly string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const c = line[at] ?? '';
    if (c === '\\' && quote !== "'") {
      // In double quotes a backslash stands for itself before most characters (POSIX, 2.2.3).
      const next = line[at + 1] ?? '';
      const isPlain = quote === '"' && !'$`"\\'.includes(next);
      word = (word ?? '') + (isPlain ? '\\' : '') + next;
      at++;
    } else if (quote !== '') {
      if (c === quote) quote = '';
      else word = (word ?? '') + c;
    } else if (c === '"' || c === "'") {
      quote = c;
      word ??= '';
    } else if (/\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + c;
    }
  }
  words.push(word ?? '');
  return words;
}
