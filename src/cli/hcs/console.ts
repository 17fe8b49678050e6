import { setTimeout as delay } from 'node:timers/promises';
import { deviceRemedy } from '../device-remedy.ts';
import { GuestConsole } from '../guest-console.ts';
import { remark } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { consolePathOf } from './console-path.ts';
import { documentOf } from './document-of.ts';
import { withPatience } from './patience.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { shownId } from './shown-id.ts';

/** Milliseconds after which a machine whose console has ended goes on without it. */
const EXIT_LIMIT_MS = 2_000;

/** What `hcs console` was given. */
export interface ConsoleOptions extends ServiceOptions {
  readonly pipe?: string;
}

/** Connects the first COM port of a system to this terminal, until Ctrl-] or the end of the system. */
export async function console(
  context: HcsContext,
  id: string,
  options: ConsoleOptions,
): Promise<void> {
  await withService(context, options, async ({ host, open, cleanUp, signal }) => {
    const system = await open(id);
    const name = shownId(system.id);
    const document = options.pipe === undefined ? await documentOf(system, signal) : undefined;
    const path = options.pipe ?? (document && consolePathOf(document));
    if (path === undefined) {
      throw new UsageError(
        document === undefined
          ? `Cannot find the console of ${name}: this host's service does not tell its document`
          : `Cannot open a console of ${name}: no COM port of it names a pipe`,
        document === undefined
          ? 'give the pipe of its COM port by --pipe'
          : deviceRemedy(host.name, 'console', '$.VirtualMachine.Devices.ComPorts'),
      );
    }
    const { exited } = system;
    const terminal = new GuestConsole(path, { typesEnd: false });
    cleanUp.add(() => terminal.close());
    try {
      await withPatience(`Connecting to ${path}`, terminal.connect());
    } catch (cause) {
      const { message } = cause as Error;
      throw new UsageError(
        `Cannot open the console of ${name}: ${message}`,
        "the machine may have ended, or the pipe may be another user's",
        { cause },
      );
    }
    if (process.stdin.isTTY) remark(`hcs: at the console of ${name}; Ctrl-] leaves it`);
    let end = `hcs: ${name} has ended`;
    let isOver = false;
    // A machine that ends closes its console before it is known how.
    const closed = terminal.closed().then(async () => {
      if (isOver) return;
      const known = new AbortController();
      const goesOn = delay(EXIT_LIMIT_MS, true, { signal: known.signal });
      if (await Promise.race([goesOn, exited.then(() => false)])) {
        end = `hcs: the console of ${name} was closed by its other end`;
      }
      known.abort();
    });
    const over = Promise.race([exited, closed]);
    const how = await terminal.interact(over, undefined, signal);
    isOver = true;
    if (signal.aborted) return;
    remark(how === 'left' ? `hcs: left ${name}, which goes on` : end);
  });
}
