import { InvalidArgumentError } from 'commander';

/** Parses an option that is an integer of at least 0; `0x` makes it hexadecimal. */
export function nonNegativeInteger(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError('It is an integer of at least 0.');
}
