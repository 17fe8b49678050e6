import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes a folder for the owner alone, and those above it that are missing. Node's own way never returns where a folder
 * cannot have others in it, as in /proc.
 * @returns the folders that were made
 * @throws the error of the system
 */
export function makeFolder(path: string): readonly string[] {
  const missing: string[] = [];
  for (let at = path; !existsSync(at); at = dirname(at)) missing.unshift(at);
  return missing.filter((folder) => {
    try {
      mkdirSync(folder, { mode: 0o700 });
      return true;
    } catch (error) {
      // Somebody else makes the same.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return false;
    }
  });
}
