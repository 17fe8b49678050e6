import { loadTypeScriptAsModules } from '../transport/module-format.ts';

let registered: Promise<void> | undefined;

/**
 * Lets this process import TypeScript files without a build step, by tsx. Workers register it themselves. Done once;
 * no loader is registered when the command itself runs from its source, which is under tsx already.
 */
export function loadTypeScript(): Promise<void> {
  registered ??= register();
  return registered;
}

async function register(): Promise<void> {
  if (!import.meta.url.endsWith('.ts')) {
    const [esm, cjs] = await Promise.all([import('tsx/esm/api'), import('tsx/cjs/api')]);
    cjs.register();
    esm.register();
  }
  loadTypeScriptAsModules();
}
