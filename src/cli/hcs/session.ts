import type { ComputeSystem } from '../../hcs/compute-system.ts';
import { CleanUp } from '../clean-up.ts';
import { remark } from '../terminal.ts';
import { removeEmptyConsoleFolder } from './console-path.ts';
import { openSystem } from './find-system.ts';
import type { OutputOptions } from './output.ts';
import { withPatience } from './patience.ts';
import type { HcsContext, ServiceHost, ServiceOptions } from './service-host.ts';

/** One command at work: the service that it asks, and what it takes away again. */
export interface Session {
  readonly host: ServiceHost;
  readonly cleanUp: CleanUp;
  /** Aborted when the user interrupts. */
  readonly signal: AbortSignal;
  /** Opens the system that the user means; it is closed, and left as it is, when the command ends. */
  open(id: string): Promise<ComputeSystem>;
  /** Says what the interrupt does, from now on, in place of that systems are left alone. */
  whenInterrupted(text: string): void;
}

/**
 * Does what a command is for, with the service that its options mean.
 *
 * Ctrl-C ends the command with 130 and leaves systems alone: it says so, as a person may think that Ctrl-C went to them.
 */
export async function withService(
  { connect }: HcsContext,
  options: ServiceOptions & OutputOptions,
  action: (session: Session) => Promise<void>,
): Promise<void> {
  await using cleanUp = new CleanUp();
  // Added first, so that it is done last: consoles of systems that end with the command are gone by then.
  cleanUp.add(removeEmptyConsoleFolder);
  const { signal } = cleanUp;
  try {
    const host = await withPatience('Asking the compute service', connect(options));
    cleanUp.add(() => host.close());
    let interrupted = host.outlivesCommand ? LEFT_ALONE : ENDED_WITH_IT;
    signal.addEventListener('abort', () => sayInterrupted(signal, interrupted), { once: true });
    await action({
      host,
      cleanUp,
      signal,
      async open(id) {
        const system = await withPatience(`Opening ${id}`, openSystem(host, id, signal));
        cleanUp.add(() => system.close());
        return system;
      },
      whenInterrupted(text) {
        interrupted = text;
      },
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    // What failed was interrupted: whoever interrupted ends the process.
    await cleanUp.run();
  }
}

const LEFT_ALONE =
  'compute systems are left as they are, and what the service was asked to do goes on';
const ENDED_WITH_IT = 'the compute systems of this command end with it (--embedded)';

function sayInterrupted({ reason }: AbortSignal, text: string): void {
  // Where nobody reads the output any more, nobody has asked either.
  if (/SIG[A-Z]+/.test(String(reason))) remark(`hcs: interrupted; ${text}`);
}
