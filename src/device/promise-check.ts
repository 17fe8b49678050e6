/**
 * Refuses a promise where only a finished result makes sense: hooks are synchronous, as HDV's callbacks are.
 * @throws TypeError when `result` is a promise; its own rejection is then swallowed, so that only this error is seen
 */
export function refusePromise(result: unknown, what: string): void {
  if (typeof result !== 'object' || result === null) return;
  const { then } = result as { then?: unknown };
  if (typeof then !== 'function') return;
  (result as PromiseLike<unknown>).then(undefined, () => {});
  throw new TypeError(
    `Cannot wait for ${what}: it returned a promise, and hooks are synchronous; use clock.after or a worker`,
  );
}
