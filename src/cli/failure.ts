import { CommanderError } from 'commander';
import { errorColors } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** Exit codes of every command; `run --command` passes the guest's own on. */
export const ExitCode = {
  DONE: 0,
  FAILED: 1,
  BAD_INPUT: 2,
  HUNG_UP: 129,
  INTERRUPTED: 130,
  OUTPUT_CLOSED: 141,
  TERMINATED: 143,
} as const;

/** Exit code when standard output cannot be written: as SIGPIPE's where its reader has gone. */
export function outputFailureCode(error: NodeJS.ErrnoException): number {
  return error.code === 'EPIPE' ? ExitCode.OUTPUT_CLOSED : ExitCode.FAILED;
}

/** How a failure is shown, and the code that the process ends with. */
export interface Presentation {
  readonly text: string;
  readonly code: number;
}

/** Errors that say what the user gave and how to mend it. By name: their modules are loaded only when needed. */
const BAD_INPUT_ERRORS = new Set([
  'UsageError',
  'DeviceLoadError',
  'HostUnavailableError',
  'ProvisionError',
  'VfioUserError',
]);

/** HRESULTs that mean that the caller's document, file or device is at fault. */
const BAD_INPUT_CODES = new Set([
  'HCS_E_INVALID_JSON',
  'HCS_E_SYSTEM_ALREADY_EXISTS',
  'E_INVALIDARG',
  'E_NOTIMPL',
  'E_ACCESSDENIED',
  'ERROR_ALREADY_EXISTS',
  'ERROR_FILE_NOT_FOUND',
  'ERROR_NOT_SUPPORTED',
]);

let programName = 'hdvkit';

/** Says which command line this process runs: it stands before what it says of failures. */
export function setProgramName(name: string): void {
  programName = name;
}

/** How {@link presentFailure} presents; everything has a default. */
export interface PresentOptions {
  /** Which command says it; by default the one of {@link setProgramName}. */
  readonly program?: string;
  /** With the stack; by default when HDVKIT_DEBUG is set. */
  readonly debug?: boolean;
  /** What to do about it, where the error itself does not say. */
  readonly remedy?: string | undefined;
}

/** Turns what a command threw into one message with the remedy, without a stack unless HDVKIT_DEBUG is set. */
export function presentFailure(
  error: unknown,
  {
    program = programName,
    debug = Boolean(process.env.HDVKIT_DEBUG),
    remedy: otherwise,
  }: PresentOptions = {},
): Presentation {
  if (error instanceof CommanderError) {
    // Commander has printed its message by now; help and version end with 0.
    return { text: '', code: error.exitCode === 0 ? ExitCode.DONE : ExitCode.BAD_INPUT };
  }
  const chain = causesOf(error);
  // What lies deepest knows best what to do about it; the layers above only say who asked.
  const deepest = chain.findLast(({ name }) => BAD_INPUT_ERRORS.has(name));
  const told = error instanceof UsageError ? error : (deepest ?? error);
  const colors = errorColors();
  const lines = [`${colors.red(`${program}:`)} ${messageOf(told)}`];
  const remedy = remedyOf(told) ?? otherwise;
  // Some messages have the remedy already.
  if (remedy !== undefined && !messageOf(told).includes(remedy)) {
    lines.push(`${colors.dim('  remedy:')} ${remedy}`);
  }
  if (debug && error instanceof Error) lines.push('', stackOf(error));
  return {
    text: `${lines.join('\n')}\n`,
    code: isBadInput(chain) ? ExitCode.BAD_INPUT : ExitCode.FAILED,
  };
}

function isBadInput(chain: readonly Error[]): boolean {
  return chain.some((error, depth) => {
    if (BAD_INPUT_ERRORS.has(error.name)) return true;
    // A device that refuses its configuration throws what it likes, as the cause of what the host says.
    if (depth > 0 && (error instanceof RangeError || error instanceof TypeError)) return true;
    const { code } = error as { readonly code?: unknown };
    return typeof code === 'string' && BAD_INPUT_CODES.has(code);
  });
}

/** The error and its causes, the error first. */
function causesOf(error: unknown): Error[] {
  return error instanceof Error ? [error, ...causesOf(error.cause)] : [];
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\s*\n\s*/g, ' ') || 'Cannot say what went wrong';
}

function remedyOf(error: unknown): string | undefined {
  const remedy = (error as { readonly remedy?: unknown } | null)?.remedy;
  return typeof remedy === 'string' && remedy !== '' ? remedy : undefined;
}

function stackOf(error: Error): string {
  return causesOf(error)
    .map((each) => each.stack ?? String(each))
    .join('\ncaused by ');
}
