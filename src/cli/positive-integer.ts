import { InvalidArgumentError } from 'commander';

/** Parses an option that is a positive integer. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('It is a positive integer.');
}
