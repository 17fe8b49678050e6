import type { System_PropertyType } from '../../hcs/schema/documents.ts';
import { printable } from '../printable.ts';
import { colors, print } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { documentOf } from './document-of.ts';
import type { OutputOptions } from './output.ts';
import { withPatience } from './patience.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { shownId } from './shown-id.ts';

/** What `hcs show` was given. */
export interface ShowOptions extends ServiceOptions, OutputOptions {
  readonly document?: boolean;
}

/** Shows the properties of a system, or the document that it was created from. */
export async function show(
  context: HcsContext,
  id: string,
  types: readonly string[],
  options: ShowOptions,
): Promise<void> {
  if (options.document && types.length > 0) {
    throw new UsageError(
      'Cannot show properties and the document at once: --document shows the document alone',
      'leave out the types of properties',
    );
  }
  await withService(context, options, async ({ open, signal }) => {
    const system = await open(id);
    if (options.document) {
      const document = await documentOf(system, signal);
      if (document === undefined) {
        throw new UsageError(
          `Cannot show the document of ${shownId(system.id)}: this host's service does not tell it`,
          'hcs show without --document shows the properties',
        );
      }
      print(JSON.stringify(document, null, 2));
      return;
    }
    const query =
      types.length === 0 ? undefined : { PropertyTypes: types as readonly System_PropertyType[] };
    const properties = await withPatience('Asking', system.properties(query, { signal }));
    if (options.json) print(JSON.stringify(properties, null, 2));
    else for (const line of valueLines(properties)) print(line);
  });
}

/** Every value in a line of its own, by its path in the document. */
export function valueLines(document: object): readonly string[] {
  const rows = [...leaves(document, '')];
  const width = Math.max(0, ...rows.map(([path]) => path.length));
  const c = colors();
  return rows.map(([path, value]) => `${c.dim(path.padEnd(width))}  ${value}`);
}

function* leaves(value: unknown, path: string): Generator<readonly [string, string]> {
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) {
    yield [path, typeof value === 'string' ? shownId(value) : printable(JSON.stringify(value))];
    return;
  }
  for (const [key, each] of Object.entries(value)) {
    const step = Array.isArray(value) ? `[${key}]` : `${path === '' ? '' : '.'}${shownId(key)}`;
    yield* leaves(each, path + step);
  }
}
