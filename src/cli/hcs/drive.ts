import type { ComputeSystem } from '../../hcs/compute-system.ts';
import { isGone } from '../../hcs/is-gone.ts';
import { ExitCode } from '../failure.ts';
import { presentHcsFailure } from './failure.ts';
import { type OutputOptions, tell } from './output.ts';
import { withPatience } from './patience.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { type Session, withService } from './session.ts';
import { shownId } from './shown-id.ts';

/** What the commands that bring systems from one state to another were given. */
export interface DriveOptions extends ServiceOptions, OutputOptions {
  readonly reboot?: boolean;
  /** Seconds; true waits as long as it takes. */
  readonly wait?: number | true;
}

/** What a command does to one system, and how it says so. */
interface Deed {
  /** While it takes long: `Starting`. */
  readonly doing: string;
  /** When it is done: `Started`. */
  readonly done: string;
  act(system: ComputeSystem, options: DriveOptions, session: Session): Promise<string | undefined>;
}

/** The commands of this kind, by name. `act` may say more of what was done. */
const DEEDS = {
  start: deed('Starting', 'Started', (system, signal) => system.start({ signal })),
  pause: deed('Pausing', 'Paused', (system, signal) => system.pause({ signal })),
  resume: deed('Resuming', 'Resumed', (system, signal) => system.resume({ signal })),
  crash: deed('Crashing', 'Sent a non-maskable interrupt to', (system, signal) =>
    system.crash({ signal }),
  ),
  kill: deed('Ending', 'Ended', (system, signal) => system.terminate({ signal })),
  shutdown: {
    doing: 'Shutting down',
    done: 'Asked the guest to shut down:',
    async act(system, { reboot, wait }, { signal }) {
      const { exited } = system;
      const options = reboot ? { options: { Type: 'Reboot' as const } } : {};
      try {
        await system.shutDown({ ...options, signal });
      } catch (error) {
        // It may have been so quick that the answer is the end.
        if (wait === undefined || !isGone(error)) throw error;
      }
      if (wait === undefined) return undefined;
      const { waitForExit } = await import('./wait.ts');
      const { ExitType = 'Unknown' } = await waitForExit(system.id, exited, wait, signal);
      return `Shut down (${ExitType}):`;
    },
  },
} as const satisfies Record<string, Deed>;

/** A command that drives systems from one state to another. */
export type DriveCommand = keyof typeof DEEDS;

/** Does the same to each system. One that refuses does not keep the others from it; the exit code is then 1. */
export async function drive(
  context: HcsContext,
  command: DriveCommand,
  ids: readonly string[],
  options: DriveOptions,
): Promise<void> {
  const { doing, done, act }: Deed = DEEDS[command];
  await withService(context, options, async (session) => {
    for (const id of new Set(ids)) {
      try {
        const system = await session.open(id);
        const name = shownId(system.id);
        const said = await withPatience(`${doing} ${name}`, act(system, options, session));
        tell(options, `${said ?? done} ${name}`, { command, id: system.id, done: true });
      } catch (error) {
        if (session.signal.aborted || ids.length === 1) throw error;
        const { text, code } = await presentHcsFailure(error, options.json);
        process.stderr.write(text);
        process.exitCode = Math.max(Number(process.exitCode ?? 0), code) || ExitCode.FAILED;
      }
    }
  });
}

function deed(
  doing: string,
  done: string,
  act: (system: ComputeSystem, signal: AbortSignal) => Promise<void>,
): Deed {
  return {
    doing,
    done,
    async act(system, _options, { signal }) {
      await act(system, signal);
      return undefined;
    },
  };
}
