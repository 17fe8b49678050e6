/**
 * What the tests import from `vitest`, over Node's own test runner, for systems on which Vitest does not run: Windows
 * under Wine.
 */
import * as runner from 'node:test';
import { rowTitle } from './titles.ts';

export { expect } from './expect.ts';

/** As in the Vitest configuration. */
const TIME_LIMIT = 240_000;

type Body = (...args: readonly unknown[]) => unknown;
type Limit = number | { readonly timeout?: number } | undefined;
type Register = (title: string, body: Body, limit: Limit) => void;

interface Definer {
  (title: string, ...rest: readonly unknown[]): void;
  each(rows: readonly unknown[]): (title: string, ...rest: readonly unknown[]) => void;
  for(rows: readonly unknown[]): (title: string, ...rest: readonly unknown[]) => void;
  runIf(condition: unknown): Definer;
  skipIf(condition: unknown): Definer;
  readonly concurrent: Omit<Definer, 'concurrent'>;
}

/** Options may stand before or after the body. */
function bodyAndLimit(rest: readonly unknown[]): { readonly body: Body; readonly limit: Limit } {
  const body = rest.find((item): item is Body => typeof item === 'function');
  if (body === undefined) throw new TypeError('Cannot define a test without a body');
  return { body, limit: rest.find((item) => item !== body) as Limit };
}

/** What is not for this system is not defined: a file in which nothing is left fails. */
const nothing: Register = () => undefined;

function definer(register: Register): Definer {
  const define = (title: string, ...rest: readonly unknown[]): void => {
    const { body, limit } = bodyAndLimit(rest);
    register(title, body, limit);
  };
  const table =
    (rows: readonly unknown[], spread: boolean) =>
    (title: string, ...rest: readonly unknown[]): void => {
      const { body, limit } = bodyAndLimit(rest);
      for (const [index, row] of rows.entries()) {
        const args = spread && Array.isArray(row) ? row : [row];
        register(rowTitle(title, row, index), () => body(...args), limit);
      }
    };
  // Tests of one file run one after the other here.
  const made = Object.assign(define, {
    each: (rows: readonly unknown[]) => table(rows, true),
    for: (rows: readonly unknown[]) => table(rows, false),
    runIf: (condition: unknown) => definer(condition ? register : nothing),
    skipIf: (condition: unknown) => definer(condition ? nothing : register),
  });
  return Object.assign(made, { concurrent: made });
}

const timeout = (limit: Limit): number =>
  (typeof limit === 'number' ? limit : limit?.timeout) ?? TIME_LIMIT;

/** Defines a test. */
export const test: Definer = definer((title, body, limit) => {
  void runner.test(title, { timeout: timeout(limit) }, () => body() as Promise<void>);
});

/** Defines a group of tests. */
export const describe: Definer = definer((title, body) => {
  void runner.describe(title, () => body() as Promise<void>);
});

export { test as it };

type Hook = (body: () => unknown, limit?: number) => void;

/** A hook that runs before may return what is to run after. */
function hook(before: typeof runner.before, after: typeof runner.after): Hook {
  return (body, limit) => {
    const undo: (() => unknown)[] = [];
    before(
      async () => {
        const result = await body();
        if (typeof result === 'function') undo.push(result as () => unknown);
      },
      { timeout: timeout(limit) },
    );
    after(async () => {
      await undo.pop()?.();
    });
  };
}

/** Runs once before the tests of the group or file. */
export const beforeAll: Hook = hook(runner.before, runner.after);
/** Runs before each test of the group or file. */
export const beforeEach: Hook = hook(runner.beforeEach, runner.afterEach);
/** Runs once after the tests of the group or file. */
export const afterAll: Hook = (body, limit) =>
  runner.after(async () => void (await body()), { timeout: timeout(limit) });
/** Runs after each test of the group or file. */
export const afterEach: Hook = (body, limit) =>
  runner.afterEach(async () => void (await body()), { timeout: timeout(limit) });

const stubbed = new Map<string, string | undefined>();

function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

/** The few of Vitest's utilities that tests use which run here. */
export const vi = {
  /** Limits are those of {@link test}. */
  setConfig: (_config: unknown): void => undefined,
  stubEnv: (name: string, value: string | undefined): void => {
    if (!stubbed.has(name)) stubbed.set(name, process.env[name]);
    setVariable(name, value);
  },
  unstubAllEnvs: (): void => {
    for (const [name, value] of stubbed) setVariable(name, value);
    stubbed.clear();
  },
};
