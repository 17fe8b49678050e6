import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CancellationToken } from 'vscode-jsonrpc/node';
import { failure } from '../compute/failure.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import type { PeerCredentials } from './access-policy.ts';
import type { Parameters } from './parameters.ts';

/** How a guest program is run. */
export interface GuestProgramOptions {
  /** Virtual processors. */
  readonly processors: number;
  /** What every processor gets: anything that JSON carries. */
  readonly argument: unknown;
  /** Name of the export that is the program. */
  readonly export: string;
  /** Ends the program. */
  readonly signal: AbortSignal;
}

/** What runs guest programs in the machines of a service, where it has machines that do. */
export interface GuestPrograms {
  /**
   * @returns what the program returned on each processor
   * @throws RangeError when there is no such machine, or it has not so many processors; what the program threw
   */
  run(systemId: string, program: URL, options: GuestProgramOptions): Promise<readonly unknown[]>;
}

const NAME = 'runGuestProgram';

/**
 * Runs a guest program for a client. Programs are code that runs in the process of the service, so they are for its own
 * user alone, and for root.
 * @param programs undefined: the service's machines run none
 * @returns JSON text of what the program returned on each processor
 * @throws HcsError HCS_E_ACCESS_DENIED, E_INVALIDARG, and E_FAIL with what the program threw
 */
export async function runGuestProgram(
  programs: GuestPrograms | undefined,
  peer: PeerCredentials,
  parameters: Parameters,
  token: CancellationToken,
): Promise<string> {
  if (programs === undefined) {
    const reason =
      'machines of this service run operating systems: only simulated ones run programs';
    throw failure(NAME, 'E_NOTIMPL', reason);
  }
  if (peer.uid !== 0 && peer.uid !== process.getuid?.()) {
    throw failure(
      NAME,
      'HCS_E_ACCESS_DENIED',
      `a guest program would run as the user ${process.getuid?.()}, who runs the service, and the client is the user ${peer.uid}: use a service of your own`,
    );
  }
  const systemId = parameters.text('systemId');
  const program = fileOf(parameters.text('program'));
  const argument = parameters.optionalText('argument');
  const aborted = new AbortController();
  if (token.isCancellationRequested) aborted.abort();
  const listener = token.onCancellationRequested(() => aborted.abort());
  try {
    const returned = await programs.run(systemId, program, {
      processors: parameters.number('processors'),
      argument: argument === undefined ? undefined : parse(argument),
      export: parameters.text('export'),
      signal: aborted.signal,
    });
    return JSON.stringify(returned.map((value) => value ?? null));
  } catch (error) {
    if (error instanceof HcsError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const code = error instanceof RangeError ? 'E_INVALIDARG' : 'E_FAIL';
    throw failure(NAME, code, reason, undefined, error);
  } finally {
    listener.dispose();
  }
}

/** @throws HcsError E_INVALIDARG when it names no file of this computer */
function fileOf(text: string): URL {
  try {
    const url = new URL(text);
    if (isAbsolute(fileURLToPath(url))) return url;
  } catch {
    // As below.
  }
  throw failure(NAME, 'E_INVALIDARG', `the program "${text}" is no file: URL`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw failure(NAME, 'E_INVALIDARG', 'the argument of the program is no JSON', undefined, error);
  }
}
