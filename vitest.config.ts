import { defineConfig } from 'vitest/config';

const source = { conditions: ['hdvkit-source', 'node', 'import', 'module', 'default'] };

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
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve: source,
        ssr: { resolve: source },
        oxc: { target: 'es2022' },
        test: {
          name: 'guest',
          include: ['test/guest/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          maxWorkers: 2,
        },
      },
    ],
  },
});
