import type { ObjectType } from '../../hcs/schema/schema-types.ts';
import { documentProblems } from '../../hcs/schema/validate.ts';
import { readPath, writePath } from './document-path.ts';
import type { DocumentText, Place } from './document-text.ts';

/** Something wrong with a document, with its place in the file. */
export interface PlacedProblem extends Place {
  /** JSON path of the place: `$.VirtualMachine.Devices`. */
  readonly path: string;
  readonly message: string;
  /** What stands there; absent where nothing does. */
  readonly value?: unknown;
  /** The key or value that was probably meant, where one is near. */
  readonly suggestion?: string;
}

/** Everything wrong with a document: as JSON, or else by the schema, in the order of the file. */
export function placedProblems(type: ObjectType, document: DocumentText): readonly PlacedProblem[] {
  if (document.problems.length > 0) {
    return document.problems.map(({ path, ...problem }) => ({ ...problem, path: writePath(path) }));
  }
  return documentProblems(type, document.value)
    .map((problem) => placed(document, problem))
    .sort((one, other) => one.line - other.line || one.column - other.column);
}

/** A problem of which only the JSON path is known, with its place in the file. */
export function placed(
  document: DocumentText,
  problem: Omit<PlacedProblem, 'line' | 'column' | 'value'>,
): PlacedProblem {
  const path = readPath(problem.path);
  const value = document.valueAt(path);
  return { ...problem, ...document.placeOf(path), ...(value === undefined ? {} : { value }) };
}
