import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { UsageError } from '../usage-error.ts';
import { idFor, readMachine } from './made-document.ts';
import { type AccessOptions, makeSystem } from './make-system.ts';
import type { OutputOptions } from './output.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';

/** What `hcs restore` was given. */
export interface RestoreOptions extends ServiceOptions, OutputOptions, AccessOptions {
  readonly id?: string;
  readonly start: boolean;
}

/** Where `hcs save` writes the document of a saved system. */
export function documentPathOf(file: string): string {
  return `${file}.json`;
}

/** Creates a system from a saved state and its document, and lets it run on. */
export async function restore(
  context: HcsContext,
  file: string,
  documentPath: string | undefined,
  options: RestoreOptions,
): Promise<void> {
  const path = documentPath ?? documentPathOf(file);
  if (documentPath === undefined && !existsSync(path)) {
    throw new UsageError(
      `Cannot restore ${file}: there is no ${path}, the document of the saved system`,
      `give the document: hcs restore ${file} DOCUMENT`,
    );
  }
  const document = await readMachine(path);
  if (document.VirtualMachine === undefined) {
    throw new UsageError(`Cannot restore ${file}: ${path} describes no virtual machine`);
  }
  const VirtualMachine = {
    ...document.VirtualMachine,
    RestoreState: { SaveStateFilePath: resolve(file) },
  };
  await withService(context, options, async (session) => {
    await makeSystem(session, {
      command: 'restore',
      id: options.id ?? idFor(file, session.host.name),
      document: { ...document, VirtualMachine },
      start: options.start,
      json: options.json ?? false,
      sddl: options.sddl,
    });
  });
}
