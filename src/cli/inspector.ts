import inspector from 'node:inspector';
import { InvalidArgumentError } from 'commander';
import type { CleanUp } from './clean-up.ts';
import { remark } from './terminal.ts';

/** Where Node opens its inspector when nothing else is said. */
const DEFAULT_PORT = 9229;

/** What `--inspect [port]` gave: a port, or true for Node's usual one. */
export type InspectOption = number | true;

/** Parses the port of `--inspect`; 0 takes any that is free. */
export function inspectPort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port < 65_536) return port;
  throw new InvalidArgumentError('It is a TCP port.');
}

/** Opens Node's inspector, which also reaches the workers that are started later, unless `node --inspect` has. */
export function openInspector(option: InspectOption, cleanUp: CleanUp): void {
  if (inspector.url() === undefined) {
    inspector.open(option === true ? DEFAULT_PORT : option, '127.0.0.1');
    cleanUp.add(() => inspector.close());
    // A worker that stands at a breakpoint could neither be stopped nor ended.
    cleanUp.signal.addEventListener('abort', resumeWorkers, { once: true });
  }
  remark(
    `Inspector at ${inspector.url() ?? 'no port, as it is taken'}; the time limits are lifted`,
  );
}

/** Lets every worker that stands at a breakpoint go on, whoever set it. */
function resumeWorkers(): void {
  const session = new inspector.Session();
  session.connect();
  session.on('NodeWorker.attachedToWorker', ({ params: { sessionId } }) => {
    for (const [id, method] of ['Debugger.enable', 'Debugger.resume'].entries()) {
      const message = JSON.stringify({ id, method });
      session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
    }
  });
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
}
