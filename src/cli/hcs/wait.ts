import type { SystemExitStatus } from '../../hcs/schema/documents.ts';
import { UsageError } from '../usage-error.ts';
import { exitCodeOf } from '../vm/exit-code.ts';
import { exitText } from '../vm/machine-output.ts';
import { type OutputOptions, tell } from './output.ts';
import { withPatience } from './patience.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { shownId } from './shown-id.ts';

/** What `hcs wait` was given. */
export interface WaitOptions extends ServiceOptions, OutputOptions {
  /** Seconds. */
  readonly timeout?: number;
}

/** Waits until each system has ended. The exit code is that of the worst end. */
export async function wait(
  context: HcsContext,
  ids: readonly string[],
  options: WaitOptions,
): Promise<void> {
  await withService(context, options, async ({ open, signal }) => {
    const systems = [];
    for (const id of new Set(ids)) systems.push(await open(id));
    const limit = options.timeout ?? true;
    const ends = Promise.all(
      systems.map(async ({ id, exited }) => {
        const status = await waitForExit(id, exited, limit, signal);
        tell(options, `${shownId(id)}: ${exitText(status)}`, { id, ...status });
        return exitCodeOf(status);
      }),
    );
    const what = `Waiting for the end of ${systems.map(({ id }) => shownId(id)).join(', ')}`;
    // What several of them say would run into a line that is redrawn.
    const codes = await (systems.length === 1 ? withPatience(what, ends) : ends);
    process.exitCode = Math.max(...codes);
  });
}

/** A wait that was over before the system was. */
export class WaitTimeoutError extends Error {
  override readonly name = 'WaitTimeoutError';
  readonly remedy = 'wait longer, or end it by hcs kill';
}

/**
 * Waits for the end of a system.
 * @param limit seconds, or true for as long as it takes
 * @throws WaitTimeoutError when the time is over
 */
export async function waitForExit(
  id: string,
  exited: Promise<SystemExitStatus>,
  limit: number | true,
  signal: AbortSignal,
): Promise<SystemExitStatus> {
  const name = shownId(id);
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    // A machine of this process that does nothing keeps no process: the timer does.
    timer = setTimeout(
      () => {
        const after = `it has not ended after ${limit} s`;
        reject(new WaitTimeoutError(`Cannot wait for ${name} any longer: ${after}`));
      },
      limit === true ? LONGEST_MS : checkLimit(limit) * 1000,
    );
  });
  try {
    return await Promise.race([exited, over]);
  } finally {
    clearTimeout(timer);
  }
}

/** Longest that a timer may be, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

function checkLimit(seconds: number): number {
  if (seconds * 1000 <= LONGEST_MS) return seconds;
  throw new UsageError(
    `Cannot wait for ${seconds} s: a wait takes at most ${Math.floor(LONGEST_MS / 1000)} s`,
    'leave out the time to wait without a limit',
  );
}
