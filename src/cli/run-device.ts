import { CleanUp } from './clean-up.ts';
import { openDeviceFile } from './device-file.ts';
import { openHost, openHostName } from './open-host.ts';
import type { RunOptions } from './run-options.ts';
import { UsageError } from './usage-error.ts';

/** What belongs to machines that run an operating system. */
const REAL_ONLY = [
  'memory',
  'processors',
  'kernel',
  'initrd',
  'append',
  'disk',
  'share',
  'module',
  'qemu',
] as const;

/** Attaches a device to a machine on the chosen host and gives the user its guest. */
export async function runDevice(path: string, options: RunOptions): Promise<void> {
  const host = openHostName(options.host);
  // What is no host of this machine says so itself, before the file is looked at.
  if (host === 'windows') openHost(host);
  if (host === 'simulated') {
    const given = REAL_ONLY.find((name) => options[name] !== undefined);
    if (given !== undefined) {
      throw new UsageError(
        `Cannot use --${given} on the host simulated: it runs no operating system`,
        'leave it out, or use the host of this platform',
      );
    }
  }
  const file = await openDeviceFile(path, options.export);
  await using cleanUp = new CleanUp();
  if (host === 'linux') {
    const { runLinux } = await import('./run-linux.ts');
    await runLinux(file, options, cleanUp);
  } else if (host === 'windows') {
    const { runWindows } = await import('./run-windows.ts');
    await runWindows(file, options, cleanUp);
  } else {
    const { runSimulated } = await import('./run-simulated.ts');
    await runSimulated(file, options, cleanUp);
  }
}
