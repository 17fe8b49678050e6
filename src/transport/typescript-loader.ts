import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { moduleFormatHook } from './module-format.ts';

const TYPESCRIPT = new Set(['.ts', '.mts', '.cts', '.tsx']);

/** Does this package itself run from its TypeScript source, as in its own tests, and not from `dist`? */
export const runsFromSource: boolean = TYPESCRIPT.has(extname(new URL(import.meta.url).pathname));

/** The extension of this package's own modules: worker entries are named by URL and must exist in both forms. */
export const moduleExtension: '.ts' | '.js' = runsFromSource ? '.ts' : '.js';

/** Can Node load this module only with a TypeScript loader registered? */
export function isTypeScript(module: URL): boolean {
  return TYPESCRIPT.has(extname(module.pathname));
}

/**
 * Node options for a worker, so that TypeScript files load in it. Hooks do not reach workers by inheritance on every
 * Node version, hence they are always registered there; registering them twice is harmless.
 */
export function workerExecArgv(typescript: boolean): string[] {
  const options = runsFromSource ? ['--conditions=hdvkit-source'] : [];
  if (typescript || runsFromSource) options.push('--import', registration());
  return options;
}

let registrationUrl: string | undefined;

/** URL of a module that registers tsx for both module systems, by its public API, and makes modules of the user's files. */
export function registration(): string {
  if (registrationUrl === undefined) {
    const source = [
      `import { register } from 'node:module';`,
      `import { register as registerCjs } from ${JSON.stringify(tsxModule('./cjs/api'))};`,
      `import { register as registerEsm } from ${JSON.stringify(tsxModule('./esm/api'))};`,
      'registerCjs();',
      'registerEsm();',
      `register(${JSON.stringify(moduleFormatHook)});`,
    ].join('\n');
    registrationUrl = `data:text/javascript,${encodeURIComponent(source)}`;
  }
  return registrationUrl;
}

/** URL of an export of tsx. A `data:` module cannot resolve package names, and a test runner may lack import.meta.resolve. */
function tsxModule(name: './cjs/api' | './esm/api'): string {
  const manifestPath = createRequire(import.meta.url).resolve('tsx/package.json');
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as {
    readonly exports: Readonly<Record<string, { readonly import: { readonly default: string } }>>;
  };
  const target = manifest.exports[name]?.import.default;
  if (target === undefined) {
    throw new Error(`Cannot load TypeScript in workers as this tsx has no export ${name}`);
  }
  return new URL(target, pathToFileURL(manifestPath)).href;
}
