import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { isNobodyThere } from '../../daemon/connect-service.ts';
import type { StopAnswer } from '../../daemon/protocol.ts';
import { CleanUp } from '../clean-up.ts';
import { ExitCode } from '../failure.ts';
import { remark } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { type OutputOptions, tell } from './output.ts';
import { withPatience } from './patience.ts';
import { service } from './service.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';

/** What is done with the service. */
export type ServiceAction = 'status' | 'start' | 'stop';

/** What `hcs service` was given. */
export interface ServiceCommandOptions extends ServiceOptions, OutputOptions {
  readonly yes?: boolean;
}

/** Shows the service, or starts or stops it. */
export async function serviceAction(
  context: HcsContext,
  action: ServiceAction | undefined,
  options: ServiceCommandOptions,
): Promise<void> {
  if (action === 'status') await status(context, options);
  else if (action === 'start') await start(context, options);
  else if (action === 'stop') await stop(context, options);
  else await service(context, options);
}

/** As without an action, but nothing is started: the exit code says whether one runs. */
async function status(context: HcsContext, options: ServiceCommandOptions): Promise<void> {
  try {
    await service(context, { ...options, running: true });
  } catch (error) {
    if (!isNobodyThere(error)) throw error;
    sayNone(options);
    process.exitCode = ExitCode.FAILED;
  }
}

async function start(context: HcsContext, options: ServiceCommandOptions): Promise<void> {
  let wasThere = true;
  const withStart: HcsContext = {
    async connect(given) {
      try {
        return await context.connect({ ...given, running: true });
      } catch (error) {
        if (!isNobodyThere(error)) throw error;
        wasThere = false;
        return await context.connect(given);
      }
    },
  };
  await withService(withStart, options, async ({ host: { name, daemon } }) => {
    if (daemon === undefined) throw noDaemon('start');
    const who = nameOf(daemon);
    tell(
      options,
      wasThere ? `${who} runs already` : `Started ${who}; it ends when nobody needs it any more`,
      { command: 'service start', done: !wasThere, host: name, ...daemon },
    );
  });
}

async function stop(context: HcsContext, options: ServiceCommandOptions): Promise<void> {
  const { stop: ask } = context;
  if (ask === undefined || options.embedded || process.platform === 'win32') throw noDaemon('stop');
  await using cleanUp = new CleanUp();
  let answer: StopAnswer;
  try {
    answer = await withPatience('Ending the service', ask(options, options.yes === true));
    if (!answer.stops) {
      if (!(await isConfirmed(answer, options, cleanUp.signal))) {
        remark('hcs: the service goes on');
        process.exitCode = ExitCode.FAILED;
        return;
      }
      answer = await withPatience('Ending the service', ask(options, true));
    }
  } catch (error) {
    if (!isNobodyThere(error)) throw error;
    // That is what was wanted.
    sayNone(options);
    return;
  }
  tell(options, `Stopped ${nameOf(answer)}${fateOf(answer)}`, {
    command: 'service stop',
    done: true,
    ...answer,
  });
}

/** What has become of the systems. */
function fateOf({ systems, keepsSystems }: StopAnswer): string {
  if (systems === 0) return '';
  if (!keepsSystems) return `, and ${countOf(systems)} with it`;
  return `; ${countOf(systems)} ${systems === 1 ? 'goes' : 'go'} on, for the next one`;
}

/** Asks whoever is at the terminal. @throws UsageError where nobody is */
async function isConfirmed(
  { systems }: StopAnswer,
  { json = false }: OutputOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const would = `${countOf(systems)} would end with it`;
  if (!process.stdin.isTTY || !process.stderr.isTTY || json) {
    throw new UsageError(
      `Cannot stop the service unasked: ${would}`,
      'save what is needed by hcs save, and say --yes',
    );
  }
  // Not as a line editor, so that Ctrl-C is the signal that it is elsewhere.
  const reader = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  try {
    const question = reader.question(`${would}. Stop it? [y/N] `, { signal });
    const answer = await Promise.race([question, once(reader, 'close').then(() => '')]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    reader.close();
  }
}

function sayNone(options: OutputOptions): void {
  tell(options, 'No service runs; the next command starts one', {
    command: 'service',
    running: false,
  });
}

function noDaemon(action: ServiceAction): UsageError {
  return new UsageError(
    `Cannot ${action} the service: it is no daemon of this package`,
    process.platform === 'win32'
      ? `use sc.exe ${action} vmcompute, elevated`
      : 'a service of --embedded ends with its command',
  );
}

function nameOf({ version, pid }: { readonly version: string; readonly pid: number }): string {
  return `hcsd ${version}, process ${pid}`;
}

function countOf(systems: number): string {
  return systems === 1 ? '1 system' : `${systems} systems`;
}
