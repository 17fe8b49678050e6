import { idFor, readMachine } from './made-document.ts';
import { type AccessOptions, makeSystem } from './make-system.ts';
import type { OutputOptions } from './output.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';

/** What `hcs create` was given. */
export interface CreateOptions extends ServiceOptions, OutputOptions, AccessOptions {
  readonly id?: string;
  readonly start?: boolean;
}

/** Creates a system from a document. */
export async function create(
  context: HcsContext,
  path: string,
  options: CreateOptions,
): Promise<void> {
  const document = await readMachine(path);
  await withService(context, options, async (session) => {
    const id = options.id ?? idFor(path, session.host.name);
    await makeSystem(session, {
      command: 'create',
      id,
      document,
      start: options.start ?? false,
      json: options.json ?? false,
      sddl: options.sddl,
    });
  });
}
