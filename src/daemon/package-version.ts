import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of this package, whether its source or its build is running. */
export function packageRoot(): string {
  const levels = import.meta.url.endsWith('.ts') ? 2 : 3;
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let level = 0; level < levels; level++) folder = dirname(folder);
  return folder;
}

/** Version of this package. */
export function packageVersion(): string {
  const manifest = readFileSync(join(packageRoot(), 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { readonly version: string }).version;
}
