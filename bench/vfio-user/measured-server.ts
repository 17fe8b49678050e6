import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CleanUp } from '../../src/cli/clean-up.ts';
import { packageRoot } from '../../src/cli/package.ts';
import { moduleExtension, runsFromSource } from '../../src/transport/typescript-loader.ts';

/** A server in a process of its own, which ends with the clean-up. Resolves when it listens. */
async function startServer(
  command: string,
  args: readonly string[],
  socketPath: string,
  cleanUp: CleanUp,
): Promise<void> {
  // A group of its own: Ctrl-C reaches this process alone, which then ends the server.
  const child: ChildProcess = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', (error) => {
      said += error.message;
      resolve();
    });
  });
  cleanUp.add(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!existsSync(socketPath)) {
    if (over) throw new Error(`Cannot start ${[command, ...args].join(' ')}: ${said.trim()}`);
    cleanUp.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The sample device edu, served by `hdvkit serve`. */
export async function serveEdu(socketPath: string, cleanUp: CleanUp): Promise<void> {
  const main = fileURLToPath(new URL(`../../src/cli/main${moduleExtension}`, import.meta.url));
  const source = runsFromSource ? ['--import', 'tsx', '--conditions=hdvkit-source'] : [];
  const device = join(packageRoot(), 'sample-devices/edu.ts');
  const args = [...source, main, 'serve', device, '--export', 'EduDevice', '--socket', socketPath];
  await startServer(process.execPath, args, socketPath, cleanUp);
}

/** The peer in C. @param deviceId four hexadecimal digits */
export async function servePeer(
  program: string,
  socketPath: string,
  cleanUp: CleanUp,
  deviceId = '11e9',
): Promise<void> {
  await startServer(program, [socketPath, deviceId], socketPath, cleanUp);
}
