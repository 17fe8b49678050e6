import { register } from 'node:module';

/**
 * A hook for Node's module loader: the user's TypeScript files are modules, whatever the package.json above them says. As
 * CommonJS, which `npm init` makes the default, they would lose their named exports and get a second copy of this package.
 */
const HOOK = `export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  return /^commonjs/.test(found.format ?? '') && /^file:.*\\.tsx?([?#]|$)/.test(found.url) && !found.url.includes('/node_modules/')
    ? { ...found, format: 'module' }
    : found;
}`;

/** The hook as a URL for `register` of node:module. It takes effect when it is registered after the TypeScript loader. */
export const moduleFormatHook: string = `data:text/javascript,${encodeURIComponent(HOOK)}`;

let isRegistered = false;

/** Registers the hook in this thread, once. */
export function loadTypeScriptAsModules(): void {
  if (!isRegistered) register(moduleFormatHook);
  isRegistered = true;
}
