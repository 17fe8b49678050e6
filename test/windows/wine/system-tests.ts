import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** What a file imports when it runs, literal dynamic imports included; types are gone by then. */
const IMPORT = /\b(?:from|import)\s*\(?\s*'([^']+)'/g;
const TYPES_ONLY = /^(?:import|export) type [^;]*;/gm;

/** Native calls, threads, and the modules of Node that ask the system, or whose answers depend on it: paths and URLs. */
const SYSTEM =
  /^(?:koffi|piscina|node:(?:child_process|fs|fs\/promises|net|path|url|worker_threads))$/;

/**
 * Not followed: the package's entries, which reach everything, though a test that goes through one mostly needs nothing
 * of it; and the simulated host, whose threads are those of transport/ and whose memory is V8's own.
 */
const BORDER = /[/\\]src[/\\](?:(?:index|hcs|hdv|testing)\.ts$|hosts[/\\]simulated[/\\])/;

/**
 * Whether a test may find something else on Windows than on Linux: it, or what it imports past these borders,
 * uses the system or asks which one it is. Everything else is JavaScript alone, which one V8 runs as the other does.
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
      if (target.startsWith('.') && existsSync(path)) queue.push(path);
    }
  }
  return false;
}
