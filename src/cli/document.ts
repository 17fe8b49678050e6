import { readFileSync } from 'node:fs';
import type { ComputeSystem } from '../hcs/schema/documents.ts';
import { withAbsolutePaths } from './documents/absolute-paths.ts';
import { DocumentText } from './documents/document-text.ts';
import { UsageError } from './usage-error.ts';

/**
 * Lays a ComputeSystem document of the user over one that was made here: objects merge, everything else replaces. Paths of it
 * begin at the current folder.
 * Whether the result is valid is the service's to say.
 * @throws UsageError when the file cannot be read or holds no JSON object
 */
export function overlayDocument(made: ComputeSystem, path: string | undefined): ComputeSystem {
  if (path === undefined) return made;
  const given = readJson(path);
  if (!isObject(given)) {
    throw new UsageError(`Cannot use ${path} as a document: it holds no JSON object`);
  }
  return merge(made as Fields, withAbsolutePaths(given)) as ComputeSystem;
}

type Fields = Readonly<Record<string, unknown>>;

function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UsageError(
      `Cannot read the document ${path}: ${messageOf(cause)}`,
      'check the path',
      {
        cause,
      },
    );
  }
  const { problems, value } = new DocumentText(text, path);
  const [problem] = problems;
  if (problem === undefined) return value;
  throw new UsageError(
    `Cannot use ${path} as a document: line ${problem.line}, column ${problem.column} ${problem.message}`,
    'write a ComputeSystem document as JSON; hdvkit validate shows all that is wrong',
  );
}

function merge(base: Fields, over: Fields): Fields {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const known = merged[key];
    merged[key] = isObject(known) && isObject(value) ? merge(known, value) : value;
  }
  return merged;
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
