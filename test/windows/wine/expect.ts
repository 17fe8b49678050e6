import {
  ASYMMETRIC_MATCHERS_OBJECT,
  chai,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
} from '@vitest/expect';
import type { ExpectStatic } from 'vitest';

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);

const POLL_INTERVAL = 50;
/** As in vitest.config.ts: it stops what hangs, and must not stop what only is slow. */
const POLL_TIMEOUT = 60_000;

/** How long {@link poll} goes on, and how often it asks. Times in milliseconds. */
interface PollOptions {
  readonly interval?: number;
  readonly timeout?: number;
}

type Matcher = (...args: readonly unknown[]) => unknown;

/** Asserts on what `read` gives, again and again until it holds; fails with the last failure when time is over. */
function poll(read: () => unknown, options: PollOptions = {}): object {
  const { interval = POLL_INTERVAL, timeout = POLL_TIMEOUT } = options;
  const matchers = (path: readonly string[]): object =>
    new Proxy(() => undefined, {
      get: (_target, name) => matchers([...path, String(name)]),
      apply: async (_target, _this, args: readonly unknown[]) => {
        const end = performance.now() + timeout;
        for (;;) {
          try {
            const assertion = [...path.slice(0, -1)].reduce<object>(
              (object, name) => Reflect.get(object, name) as object,
              chai.expect(await read()),
            );
            const matcher = Reflect.get(assertion, path.at(-1) ?? '') as Matcher;
            return matcher.apply(assertion, [...args]);
          } catch (error) {
            if (performance.now() >= end) throw error;
            await new Promise((resolve) => setTimeout(resolve, interval));
          }
        }
      },
    });
  return matchers([]);
}

const asymmetric = Reflect.get(globalThis, ASYMMETRIC_MATCHERS_OBJECT) as object;

/** Vitest's `expect`, as its own package makes it, without what belongs to its runner (snapshots). */
export const expect: ExpectStatic = Object.assign(
  (value: unknown, message?: string) => chai.expect(value, message),
  chai.expect,
  asymmetric,
  {
    poll,
    unreachable: (message?: string): never =>
      chai.assert.fail(message ?? 'expected not to be reached') as never,
  },
) as unknown as ExpectStatic;
