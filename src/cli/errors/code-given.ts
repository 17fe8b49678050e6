import { HRESULT, type HresultName } from '../../hcs/hresult.ts';
import { nearest } from '../../hcs/schema/nearest.ts';
import { UsageError } from '../usage-error.ts';

/**
 * The HRESULT that the user gave, unsigned: by its name, or as a hexadecimal, signed or unsigned number. Eight digits
 * that begin with 8 or C are hexadecimal without 0x, too: so does every failure.
 * @throws UsageError when it is neither; it suggests the name that was probably meant
 */
export function codeGiven(text: string): number {
  const name = nameGiven(text);
  if (name !== undefined) return HRESULT[name];
  if (/^[8-9a-f][0-9a-f]{7}$/i.test(text)) return Number.parseInt(text, 16);
  if (/^(0x[0-9a-f]+|-?\d+)$/i.test(text)) {
    const value = Number(text);
    if (value >= -(2 ** 31) && value < 2 ** 32) return value >>> 0;
    throw new UsageError(
      `Cannot explain ${shorten(text)}: an HRESULT has 32 bits`,
      'give a number from -2147483648 to 4294967295, or from 0x0 to 0xFFFFFFFF',
    );
  }
  const names = Object.keys(HRESULT);
  const word = text.slice(0, 100).toUpperCase();
  const meant = nearest(word, names) ?? names.find((each) => each.endsWith(`_${word}`));
  throw new UsageError(
    `Cannot explain ${JSON.stringify(shorten(text))}: it is no number and no name of an error code`,
    meant === undefined ? 'give the number: 0x8037010D, or -2143878899' : `did you mean ${meant}?`,
  );
}

function nameGiven(text: string): HresultName | undefined {
  const name = text.toUpperCase();
  return Object.hasOwn(HRESULT, name) ? (name as HresultName) : undefined;
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
