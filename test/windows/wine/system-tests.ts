import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** What a file imports when it runs, literal dynamic imports included; types are gone by then. */
const IMPORT = /\b(?:from|import)\s*\(?\s*'([^']+)'/g;
const TYPES_ONLY = /^(?:import|export) type [^;]*;/gm;

/** Native calls, threads, and the modules of Node that ask the system, or whose answers depend on it: paths and URLs. */
const SYSTEM =
  /^(?:koffi|piscina|node:(?:child_process|fs|fs\/promises|net|path|url|worker_threads))$/;

/** The package's own calls of the system, and its threads. */
const NATIVE = /[/\\]src[/\\](?:ffi|transport)[/\\]/;

/** The package's entries, and the simulated host: they reach everything, though their tests mostly need nothing of it. */
const BORDER = /[/\\]src[/\\](?:(?:index|hcs|hdv|testing)\.ts$|hosts[/\\]simulated[/\\])/;

/**
 * Whether a test may find something else on Windows than on Linux: it, what it has beside it, or a module that it tests
 * uses the system or asks which one it is. Everything else is JavaScript alone, which one V8 runs as the other does.
 * What a tested module imports in turn has tests of its own.
 *
 * @param file path of the test
 */
export function usesSystem(file: string): boolean {
  const seen = new Set<string>();
  const queue = [file];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (seen.has(next) || BORDER.test(next)) continue;
    seen.add(next);
    const text = readFileSync(next, 'utf8').replace(TYPES_ONLY, '');
    if (text.includes('process.platform')) return true;
    for (const [, target = ''] of text.matchAll(IMPORT)) {
      if (SYSTEM.test(target)) return true;
      const path = resolve(dirname(next), target);
      if (!target.startsWith('.') || !existsSync(path)) continue;
      if (NATIVE.test(path)) return true;
      if (!/[/\\]src[/\\]/.test(next)) queue.push(path);
    }
  }
  return false;
}
