/** Characters that take no place of their own: marks, joiners, selectors. */
const NONE = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Characters that take two places (UAX 11: wide and fullwidth). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

// biome-ignore lint/suspicious/noControlCharactersInRegex: sequences of colours begin with one.
const COLOURS = /\u001b\[[\d;]*m/g;

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
