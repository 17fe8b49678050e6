/**
 * Checks the version of the state that a device is to restore.
 * @param device class name, for the message
 * @throws TypeError naming both versions when it is not the expected one
 */
export function checkStateVersion(device: string, state: unknown, expected: number): void {
  const isObject = typeof state === 'object' && state !== null;
  const version = isObject && 'version' in state ? state.version : undefined;
  if (version === expected) return;
  throw new TypeError(
    `Cannot restore ${device}: its state has version ${String(version)}, this code knows ${expected}`,
  );
}
