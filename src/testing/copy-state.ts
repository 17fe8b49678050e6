/** A deep copy of plain state in which Buffers stay Buffers, so that the copy survives JSON as the original does. */
export function copyState(state: unknown): unknown {
  if (typeof state !== 'object' || state === null) return state;
  if (Buffer.isBuffer(state)) return Buffer.from(state);
  if (Array.isArray(state)) return state.map(copyState);
  if (Object.getPrototypeOf(state) !== Object.prototype) return structuredClone(state);
  return Object.fromEntries(Object.entries(state).map(([key, value]) => [key, copyState(value)]));
}
