import { defineConfig } from 'vitest/config';

const source = { conditions: ['hdvkit-source', 'node', 'import', 'module', 'default'] };

/** Limits that stop what hangs, and must not stop what only is slow. */
const SLOW_MACHINES = { HDVKIT_LOAD_LIMIT: '180' };
const PATIENCE = { poll: { timeout: 60_000 } };

/**
 * Two projects: `unit` needs nothing but Node; `guest` boots a stock QEMU with a stock Linux kernel. What runs on Windows
 * only is for `npm run test:windows`.
 */
export default defineConfig({
  test: {
    projects: [
      {
        resolve: source,
        ssr: { resolve: source },
        oxc: { target: 'es2022' },
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/guest/**', 'test/windows/only/**'],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          env: SLOW_MACHINES,
          expect: PATIENCE,
        },
      },
      {
        resolve: source,
        ssr: { resolve: source },
        oxc: { target: 'es2022' },
        test: {
          name: 'guest',
          include: ['test/guest/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          env: SLOW_MACHINES,
          expect: PATIENCE,
          maxWorkers: 2,
        },
      },
    ],
  },
});
