import { readCreateDocument } from '../../compute/create-document.ts';
import type { Engine } from '../../compute/engine.ts';
import { QemuEngine } from '../../engines/qemu/engine.ts';
import { SimulatedEngine } from '../../engines/simulated/engine.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import type { HostName } from '../../hosts/host.ts';
import { withAbsolutePaths } from './absolute-paths.ts';
import { readPath } from './document-path.ts';
import { type PlacedProblem, placed } from './document-problems.ts';
import type { DocumentText } from './document-text.ts';

/** A host whose service is this package's. That of Windows checks a document only when it creates the system. */
export type OwnHost = Exclude<HostName, 'windows'>;

/** A host stops at the first field that it refuses: so many are left out one after the other to find the next. */
const MOST_PROBLEMS = 1000;

/**
 * What a host cannot honour of a ComputeSystem document that fits the schema, whose paths begin at the current folder, as
 * where a machine is made of it. Starts nothing.
 */
export function hostProblems(host: OwnHost, document: DocumentText): readonly PlacedProblem[] {
  const engines = [ENGINES[host]()];
  const rest = withAbsolutePaths(document.value as object);
  const problems: PlacedProblem[] = [];
  while (problems.length < MOST_PROBLEMS) {
    const error = firstRefusal(rest, engines);
    if (error === undefined) break;
    const path = error.path ?? '$';
    const message = error.reason.replace(`Cannot honour ${path}: `, 'cannot be honoured: ');
    problems.push(placed(document, { path, message: withoutPath(message, path) }));
    // Only what is left out can be passed by.
    if (error.code !== 'E_NOTIMPL' || !leaveOut(rest, path)) break;
  }
  return problems.sort((one, other) => one.line - other.line || one.column - other.column);
}

const ENGINES: Readonly<Record<OwnHost, () => Engine>> = {
  linux: () => new QemuEngine(),
  simulated: () => new SimulatedEngine(),
};

function firstRefusal(document: unknown, engines: readonly Engine[]): HcsError | undefined {
  try {
    readCreateDocument('HcsCreateComputeSystem', JSON.stringify(document), engines);
    return undefined;
  } catch (error) {
    if (error instanceof HcsError) return error;
    throw error;
  }
}

/** The path stands in front already. */
function withoutPath(message: string, path: string): string {
  const text = message.replace(/^Cannot use the \w+ document: /, '');
  return text.startsWith(`${path} `) ? text.slice(path.length + 1) : text;
}

/** @returns false when nothing stands there, or the document is nothing without it */
function leaveOut(document: unknown, path: string): boolean {
  const keys = readPath(path);
  const last = keys.at(-1);
  let holder = document;
  for (const key of keys.slice(0, -1)) {
    holder = (holder as Readonly<Record<string | number, unknown>> | undefined)?.[key];
  }
  if (last === undefined || typeof holder !== 'object' || holder === null) return false;
  if (!Object.hasOwn(holder, last)) return false;
  return Reflect.deleteProperty(holder, last);
}
