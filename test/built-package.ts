/**
 * The package as `npm run build` made it, which starts much faster than its source: tests run its commands where
 * test/run.ts has just built it, and those of the source otherwise, or as soon as the source is another one.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What is built, and what says how. */
const SOURCES = ['src', 'devices', 'bench'];
const FILES = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'join-modules.ts'];

/** Environment variable in which test/run.ts says of which source the build is. */
export const BUILD_VARIABLE = 'HDVKIT_TEST_BUILD';

/** A digest of everything that the build is made of. */
export function sourceDigest(folder: string = root): string {
  const hash = createHash('sha256');
  const add = (path: string): void => {
    const bytes = readFileSync(join(folder, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  };
  for (const name of FILES) add(name);
  for (const name of SOURCES) {
    const entries = readdirSync(join(folder, name), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    for (const path of files.map((file) => join(file.parentPath, file.name)).sort()) {
      add(relative(folder, path));
    }
  }
  return hash.digest('hex');
}

/** The folder of the build, if it is one of the source as it is now. */
export function builtPackage(
  environment: NodeJS.ProcessEnv = process.env,
  folder: string = root,
): string | undefined {
  const built = environment[BUILD_VARIABLE];
  return built !== undefined && built === sourceDigest(folder) ? join(folder, 'dist') : undefined;
}
