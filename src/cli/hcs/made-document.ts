import { basename, extname } from 'node:path';
import type { ComputeSystem } from '../../hcs/schema/documents.ts';
import { withAbsolutePaths } from '../documents/absolute-paths.ts';
import { placedProblems } from '../documents/document-problems.ts';
import { problemLines } from '../documents/problem-lines.ts';
import { readDocument, STANDARD_INPUT } from '../documents/read-document.ts';
import { errorColors, remark } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

/**
 * A document of the user that fits the schema, with whole paths.
 * @throws UsageError when it does not fit; the problems are printed before, each with its place
 */
export async function readMachine(path: string): Promise<ComputeSystem> {
  const document = await readDocument(path);
  const problems = placedProblems('ComputeSystem', document);
  if (problems.length === 0) return withAbsolutePaths(document.value as ComputeSystem);
  for (const line of problemLines(path, problems, errorColors())) remark(line);
  throw new UsageError(
    `Cannot use ${path === STANDARD_INPUT ? 'standard input' : path}: the document has ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`,
    'hcs schema TYPE shows what a type has',
  );
}

/** The id of a system that was given none: the name of its file. Hyper-V grants files to systems whose id is a GUID. */
export function idFor(path: string, host: string): string {
  if (host === 'windows' || path === STANDARD_INPUT) return crypto.randomUUID();
  return basename(path, extname(path));
}
