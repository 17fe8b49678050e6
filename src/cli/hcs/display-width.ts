/** Characters that take no place of their own: marks, joiners, selectors. */
const NONE = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Characters that take two places (UAX 11: wide and fullwidth). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

// biome-ignore lint/suspicious/noControlCharactersInRegex: sequences of colours begin with one.
const COLOURS = /\u001b\[[\d;]*m/g;

/** Code units of one character with its marks, as far as they are shown. */
const LONGEST_CHARACTER = 8;

const PLAIN = /^[ -~]*$/;

/** How many places of a terminal's line a text takes, without its colours. */
export function displayWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const character of text.replace(COLOURS, '')) {
    if (NONE.test(character)) continue;
    width += WIDE.test(character) ? 2 : 1;
  }
  return width;
}

/** A text with spaces behind it, so that it takes `width` places. */
export function padTo(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}

/** Stands for the rest of a text that was shortened; whoever copies an id along may give it back. */
export const ELLIPSIS = '…';

/** A text that takes at most `width` places, with an ellipsis where it took more. */
export function cutTo(text: string, width: number): string {
  // However many places a character takes, the beginning is enough to look at.
  const beginning = text.slice(0, width * LONGEST_CHARACTER);
  if (beginning.length === text.length && displayWidth(text) <= width) return text;
  let cut = '';
  let taken = ELLIPSIS.length;
  for (const character of beginning) {
    taken += displayWidth(character);
    if (taken > width) break;
    cut += character;
  }
  return cut + ELLIPSIS;
}
