import { isAbsolute } from 'node:path';
import { ComputeSystem } from '../../hcs/compute-system.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import type { ComputeSystem as Document } from '../../hcs/schema/documents.ts';
import { remark } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { filesOf, needsGrants } from '../vm/grant-files.ts';
import { holdConsoleFolder, withConsole } from './console-path.ts';
import { type OutputOptions, tell } from './output.ts';
import { withPatience } from './patience.ts';
import type { Session } from './session.ts';
import { shownId } from './shown-id.ts';

/** Who may use a new system. */
export interface AccessOptions {
  /** Its security descriptor in the string format. */
  readonly sddl?: string | undefined;
}

/** What becomes of a new system. */
interface Making extends OutputOptions, AccessOptions {
  readonly command: 'create' | 'restore' | 'clone';
  readonly id: string;
  readonly document: Document;
  readonly start: boolean;
}

/** Creates a system, starts it where that is asked for, and says so. It is closed, and left, when the command ends. */
export async function makeSystem(session: Session, making: Making): Promise<void> {
  const { host, cleanUp, signal } = session;
  const { command, id, start, sddl: securityDescriptor = null } = making;
  const { core } = host;
  if (securityDescriptor !== null && host.name === 'windows') {
    throw new UsageError(
      'Cannot give a security descriptor as text: the service of Windows takes its address',
      'leave out --sddl',
    );
  }
  const name = shownId(id);
  cleanUp.add(holdConsoleFolder(host.name));
  const document = withConsole(host.name, id, making.document);
  const granted = needsGrants(host.name) ? await grant(session, id, document) : [];
  let system: ComputeSystem;
  try {
    const creation = ComputeSystem.create(id, document, { core, signal, securityDescriptor });
    system = await withPatience(`Creating ${name}`, creation);
  } catch (error) {
    // The system that has the id goes on with its files.
    if (isTaken(error)) throw nameTaken(error as HcsError);
    for (const path of granted) await core.HcsRevokeVmAccess(id, path).catch(() => undefined);
    throw error;
  }
  cleanUp.add(() => system.close());
  if (start) {
    try {
      await withPatience(`Starting ${name}`, system.start({ signal }));
    } catch (error) {
      // Who asked for a system that runs shall not find one that does not.
      if (!signal.aborted) await system.terminate().catch(() => undefined);
      throw error;
    }
  }
  const done = { create: 'Created', restore: 'Restored', clone: 'Cloned' }[command];
  tell(making, `${done}${start ? ' and started' : ''} ${name}`, { command, id, started: start });
  if (document.ShouldTerminateOnLastHandleClosed) {
    remark(
      `hcs: ${name} ends with this command, as ShouldTerminateOnLastHandleClosed in its document says`,
    );
  }
}

/**
 * Lets a machine open its files: until its end, which the daemon sees, or this command where the machine ends with it. Under
 * Windows nobody is there then, and the grants stay as long as the files do.
 */
async function grant(
  { host, cleanUp }: Session,
  id: string,
  document: Document,
): Promise<string[]> {
  const { core, grantUntilEnd = core.HcsGrantVmAccess.bind(core), outlivesCommand } = host;
  const paths = [...new Set(filesOf(document).filter(isAbsolute))];
  for (const path of paths) {
    await grantUntilEnd(id, path);
    if (!outlivesCommand) cleanUp.add(() => core.HcsRevokeVmAccess(id, path));
  }
  return paths;
}

function isTaken(error: unknown): boolean {
  return error instanceof HcsError && error.code === 'HCS_E_SYSTEM_ALREADY_EXISTS';
}

/** The same with a remedy that fits: the id came from the name of a file, or from the command line. */
function nameTaken(error: HcsError): HcsError {
  return Object.assign(error, {
    remedy: 'give another id by --id, or end that system by hcs kill',
  });
}
