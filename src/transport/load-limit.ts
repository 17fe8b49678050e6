/** Most that a timer takes. */
const MOST_SECONDS = 2 ** 31 / 1000 - 1;

/**
 * Milliseconds that loading a module on a worker, and constructing its device, may take: `HDVKIT_LOAD_LIMIT` of the
 * environment, in seconds, for machines that are slow or overloaded; else as many as given.
 * @throws RangeError when the variable is no positive number
 */
export function loadLimitMs(defaultSeconds = 30): number {
  const text = process.env.HDVKIT_LOAD_LIMIT;
  if (text === undefined || text === '') return defaultSeconds * 1000;
  const seconds = Number(text);
  if (seconds > 0 && seconds <= MOST_SECONDS) return seconds * 1000;
  throw new RangeError(
    `Cannot load a device: HDVKIT_LOAD_LIMIT is "${text}": set it to seconds, more than 0 and at most ${Math.floor(MOST_SECONDS)}`,
  );
}

/** What the user is told when it was not enough. */
export function loadTooLong(name: string, limitMs: number): Error {
  return new Error(
    `Cannot load ${name}: it did not finish within ${limitMs / 1000} s; a constructor or the module itself does not return, or the machine is so slow that HDVKIT_LOAD_LIMIT has to be raised`,
  );
}
