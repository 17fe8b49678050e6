/** What is called at one interval, and the timer that does it. */
interface Round {
  readonly timer: NodeJS.Timeout;
  readonly calls: Set<() => void>;
}

const rounds = new Map<number, Round>();

/**
 * Calls `call` every `ms`, all calls of one interval in one turn: however many wait, the process wakes up once. Keeps
 * no process alive.
 */
export function tick(ms: number, call: () => void): Disposable {
  let round = rounds.get(ms);
  if (round === undefined) {
    const calls = new Set<() => void>();
    const timer = setInterval(() => {
      for (const each of calls) each();
    }, ms);
    timer.unref();
    round = { timer, calls };
    rounds.set(ms, round);
  }
  const { calls, timer } = round;
  calls.add(call);
  return {
    [Symbol.dispose]() {
      calls.delete(call);
      if (calls.size > 0 || rounds.get(ms)?.timer !== timer) return;
      clearInterval(timer);
      rounds.delete(ms);
    },
  };
}
