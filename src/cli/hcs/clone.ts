import type { ComputeSystem as Document } from '../../hcs/schema/documents.ts';
import { UsageError } from '../usage-error.ts';
import { consolePathOf, isOurs } from './console-path.ts';
import { documentOf } from './document-of.ts';
import { readMachine } from './made-document.ts';
import { type AccessOptions, makeSystem } from './make-system.ts';
import type { OutputOptions } from './output.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { shownId } from './shown-id.ts';

/** What `hcs clone` was given. */
export interface CloneOptions extends ServiceOptions, OutputOptions, AccessOptions {
  readonly document?: string;
  readonly start: boolean;
}

/** Creates a system that goes on from a template, under another id. */
export async function clone(
  context: HcsContext,
  template: string,
  id: string,
  options: CloneOptions,
): Promise<void> {
  const given = options.document === undefined ? undefined : await readMachine(options.document);
  await withService(context, options, async (session) => {
    const system = await session.open(template);
    const name = shownId(system.id);
    const { State } = await system.properties(undefined, { signal: session.signal });
    if (State !== 'SavedAsTemplate') {
      throw new UsageError(
        `Cannot clone ${name}: it is ${State}, and clones are made of templates`,
        `hcs save ${name} --template makes it one; it then never runs again itself`,
      );
    }
    const document = given ?? ownDocument(name, await documentOf(system, session.signal));
    const VirtualMachine = {
      ...document.VirtualMachine,
      RestoreState: { TemplateSystemId: system.id },
    };
    await makeSystem(session, {
      command: 'clone',
      id,
      document: { ...document, VirtualMachine },
      start: options.start,
      json: options.json ?? false,
      sddl: options.sddl,
    });
  });
}

/** The template's document for a clone. @throws UsageError where two systems cannot have the same */
function ownDocument(name: string, document: Document | undefined): Document {
  if (document === undefined) {
    throw new UsageError(
      `Cannot clone ${name} without a document: the service does not tell that of the template`,
      'give it by --document',
    );
  }
  const path = consolePathOf(document);
  if (path !== undefined && !isOurs(path)) {
    throw new UsageError(
      `Cannot clone ${name} by its own document: its console ${path} is taken by the template`,
      'give a document with another pipe by --document',
    );
  }
  return document;
}
