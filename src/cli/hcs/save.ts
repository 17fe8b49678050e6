import { resolve } from 'node:path';
import type { ComputeSystem } from '../../hcs/compute-system.ts';
import { isGone } from '../../hcs/is-gone.ts';
import { remark } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { documentOf } from './document-of.ts';
import { type OutputOptions, tell } from './output.ts';
import { withPatience } from './patience.ts';
import { SavedDocument } from './saved-document.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { shownId } from './shown-id.ts';

/** What `hcs save` was given. */
export interface SaveCommand extends ServiceOptions, OutputOptions {
  readonly template?: boolean;
  readonly resume?: boolean;
  readonly kill?: boolean;
}

/** Saves a system to a file, with its document beside it, or as a template for clones. Pauses it where it runs. */
export async function save(
  context: HcsContext,
  id: string,
  file: string | undefined,
  options: SaveCommand,
): Promise<void> {
  check(file, options);
  await withService(context, options, async ({ open, signal, host }) => {
    const system = await open(id);
    const name = shownId(system.id);
    using document = await documentFor(file, system, signal);
    const { State } = await system.properties(undefined, { signal });
    const wasPaused = State === 'Paused';
    if (!wasPaused) await withPatience(`Pausing ${name}`, system.pause({ signal }));
    const target =
      file === undefined
        ? ({ SaveType: 'AsTemplate' } as const)
        : ({ SaveType: 'ToFile', SaveStateFilePath: resolve(file) } as const);
    try {
      await withPatience(`Saving ${name}`, system.save(target, { signal }));
    } catch (error) {
      if (!signal.aborted && !wasPaused) await goOn(system, name);
      // Its service goes on saving: what comes to be there has its document then.
      if (signal.aborted && host.outlivesCommand) document?.keep();
      throw error;
    }
    if (file === undefined) {
      const how = `Made ${name} a template: hcs clone ${name} NEW-ID`;
      tell(options, how, { command: 'save', id: system.id, template: true });
      return;
    }
    document?.keep();
    if (options.kill) await withPatience(`Ending ${name}`, system.terminate({ signal }));
    else if (options.resume) await system.resume({ signal });
    const after = options.kill ? 'ended' : options.resume ? 'running' : 'paused';
    tell(options, `Saved ${name} to ${file}; it is ${after}`, {
      command: 'save',
      id: system.id,
      file: resolve(file),
      state: after,
    });
  });
}

/** The document beside the file that a system is saved to, where it is saved to one and the service tells it. */
async function documentFor(
  file: string | undefined,
  system: ComputeSystem,
  signal: AbortSignal,
): Promise<SavedDocument | undefined> {
  if (file === undefined) return undefined;
  const document = await documentOf(system, signal);
  if (document !== undefined) return new SavedDocument(file, document);
  remark('hcs: the service does not tell the document: hcs restore needs it beside the file');
  return undefined;
}

/** Lets a system that could not be saved run on. Why it was not saved is what the user has to know. */
async function goOn(system: ComputeSystem, name: string): Promise<void> {
  try {
    await system.resume();
  } catch (error) {
    if (!isGone(error)) remark(`hcs: ${name} stays paused: ${(error as Error).message}`);
  }
}

function check(file: string | undefined, { template, resume, kill }: SaveCommand): void {
  if ((file === undefined) !== (template === true)) {
    throw new UsageError(
      file === undefined
        ? 'Cannot save without a file'
        : 'Cannot save to a file with --template: a template stays in memory',
      'give a file, or --template for clones',
    );
  }
  if ((resume && kill) || (template && (resume || kill))) {
    throw new UsageError(
      `Cannot save with ${[template && '--template', resume && '--resume', kill && '--kill'].filter(Boolean).join(' and ')}`,
      'take one of them',
    );
  }
}
