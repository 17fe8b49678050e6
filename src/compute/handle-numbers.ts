let last = 0x1000n;

/** A number that no handle of this process had before: a closed handle is never taken for a new one. */
export function nextHandleNumber(): bigint {
  last += 0x10n;
  return last;
}
