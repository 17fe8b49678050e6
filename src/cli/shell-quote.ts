/** Words that no shell reads as more than a word. */
const PLAIN_POSIX = /^[\w@%+=:,./-]+$/;
/** PowerShell and cmd give more characters a meaning of their own, `%`, `,` and `@` among them. */
const PLAIN_WINDOWS = /^[\w+=:./\\-]+$/;

/**
 * One word of a command that is printed to be typed: as a POSIX shell takes it, or on Windows as both PowerShell and cmd
 * do. A word with `"`, `$`, `%` or a back-tick, which the two read differently, is quoted for PowerShell.
 */
export function shellQuote(word: string, platform: NodeJS.Platform = process.platform): string {
  if (platform !== 'win32') {
    return PLAIN_POSIX.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
  }
  if (PLAIN_WINDOWS.test(word)) return word;
  if (/["$%`]/.test(word)) return `'${word.replaceAll("'", "''")}'`;
  // A backslash before the closing quote would be taken for its escape.
  return `"${word.replace(/\\+$/, '$&$&')}"`;
}
