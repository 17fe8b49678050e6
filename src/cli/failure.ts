import { CommanderError } from 'commander';
import { DeviceLoadError } from '../hdv/load-device.ts';
import { HostUnavailableError } from '../hosts/host.ts';
import { errorColors } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** Exit codes of every command; `run --command` passes the guest's own on. */
export const ExitCode = { DONE: 0, FAILED: 1, BAD_INPUT: 2, INTERRUPTED: 130 } as const;

/** How a failure is shown, and the code that the process ends with. */
export interface Presentation {
  readonly text: string;
  readonly code: number;
}

/** HRESULTs that mean that the caller's document or argument is at fault. */
const BAD_INPUT_CODES = new Set([
  'HCS_E_INVALID_JSON',
  'HCS_E_SYSTEM_ALREADY_EXISTS',
  'E_INVALIDARG',
]);

/** Errors of the layers below that say what the user gave and how to mend it. */
const BAD_INPUT_ERRORS = [UsageError, DeviceLoadError, HostUnavailableError];

/** Turns what a command threw into one message with the remedy, without a stack unless HDVKIT_DEBUG is set. */
export function presentFailure(
  error: unknown,
  debug = Boolean(process.env.HDVKIT_DEBUG),
): Presentation {
  if (error instanceof CommanderError) {
    // Commander has printed its message by now; help and version end with 0.
    return { text: '', code: error.exitCode === 0 ? ExitCode.DONE : ExitCode.BAD_INPUT };
  }
  const colors = errorColors();
  const lines = [`${colors.red('hdvkit:')} ${messageOf(error)}`];
  const remedy = remedyOf(error);
  // Some messages end with the remedy already.
  if (remedy !== undefined && !messageOf(error).endsWith(remedy))
    lines.push(`${colors.dim('  remedy:')} ${remedy}`);
  if (debug && error instanceof Error) lines.push('', stackOf(error));
  return { text: `${lines.join('\n')}\n`, code: codeOf(error) };
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)) || 'Cannot say what went wrong';
}

function remedyOf(error: unknown): string | undefined {
  const remedy = (error as { readonly remedy?: unknown } | null)?.remedy;
  return typeof remedy === 'string' && remedy !== '' ? remedy : undefined;
}

function codeOf(error: unknown): number {
  if (BAD_INPUT_ERRORS.some((type) => error instanceof type)) return ExitCode.BAD_INPUT;
  if (remedyOf(error) !== undefined) return ExitCode.BAD_INPUT;
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' && BAD_INPUT_CODES.has(code)
    ? ExitCode.BAD_INPUT
    : ExitCode.FAILED;
}

function stackOf(error: Error): string {
  const own = error.stack ?? String(error);
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}
