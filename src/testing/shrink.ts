/**
 * Shortens a failing sequence: drops ever smaller pieces, then tries simpler forms of what is left, and again as long as
 * that helps. The result fails too.
 * @param fails must be deterministic
 * @param simpler simpler forms of one item, the simplest first
 * @param budget calls of `fails` at most
 */
export function shrink<T>(
  items: readonly T[],
  fails: (items: readonly T[]) => boolean,
  simpler: (item: T) => readonly T[],
  budget = 3000,
): readonly T[] {
  let best = items;
  let left = budget;
  const attempt = (candidate: readonly T[]): boolean => {
    if (left <= 0) return false;
    left--;
    if (!fails(candidate)) return false;
    best = candidate;
    return true;
  };

  for (let before: readonly T[] | undefined; before !== best && left > 0; ) {
    before = best;
    for (let piece = Math.ceil(best.length / 2); piece >= 1; piece = Math.floor(piece / 2)) {
      for (let start = 0; start < best.length; ) {
        const without = [...best.slice(0, start), ...best.slice(start + piece)];
        if (!attempt(without)) start += piece;
      }
    }
    for (let index = 0; index < best.length; index++) {
      for (const candidate of simpler(best[index] as T)) {
        if (attempt([...best.slice(0, index), candidate, ...best.slice(index + 1)])) break;
      }
    }
  }
  return best;
}
