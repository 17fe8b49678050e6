/** A program with a running machine, and a device in it where its argument says so, which has nothing else to do. */
import { writeSync } from 'node:fs';
import { TroubledMachine } from './host-life.ts';
import { openWindowsHost } from './windows-test-host.ts';

const host = await openWindowsHost();
const machine = await TroubledMachine.start(host);
if (process.argv[2] === 'device') await machine.attach();
writeSync(1, 'running\n');
// Does not keep the process alive: it comes only when something else does.
setTimeout(() => void close(), 1000).unref();

async function close(): Promise<void> {
  writeSync(1, 'alive\n');
  await machine[Symbol.asyncDispose]();
  await host.close();
  writeSync(1, 'closed\n');
}
