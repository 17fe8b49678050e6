import { NO_MESSAGE_TIMEOUT } from '../engines/qemu/engine.ts';
import { LinuxGuest } from '../engines/qemu/linux-guest.ts';
import { ComputeSystem } from '../hcs/compute-system.ts';
import { createLinuxHost } from '../hosts/linux/host.ts';
import { attachFile } from './attach-file.ts';
import type { CleanUp } from './clean-up.ts';
import type { DeviceFile } from './device-file.ts';
import { overlayDocument } from './document.ts';
import { openInspector } from './inspector.ts';
import type { RunOptions } from './run-options.ts';
import { remark } from './terminal.ts';
import { UsageError } from './usage-error.ts';
import { grantFiles, needsGrants } from './vm/grant-files.ts';

/** Long enough for any breakpoint, and short enough for a timer. */
const NO_STALL_LIMIT_MS = 2 ** 31 - 1;

/** The device in a Linux guest under QEMU: its shell on this terminal, or one command. */
export async function runLinux(
  file: DeviceFile,
  options: RunOptions,
  cleanUp: CleanUp,
): Promise<void> {
  const { signal } = cleanUp;
  checkOptions(options);
  const guest = cleanUp.use(await LinuxGuest.prepare(guestOptions(file, options)));
  if (options.inspect !== undefined) openInspector(options.inspect, cleanUp);
  const binding = createLinuxHost({
    engine: {
      qemu: options.qemu,
      ...(options.inspect !== undefined ? { messageTimeout: NO_MESSAGE_TIMEOUT } : {}),
    },
    ...(options.inspect !== undefined ? { stallLimitMs: NO_STALL_LIMIT_MS } : {}),
  });
  cleanUp.add(() => binding.close());
  const core = binding.computeCore;
  const document = overlayDocument(guest.document, options.document);
  const id = `hdvkit-run-${process.pid}`;
  if (needsGrants('linux')) await grantFiles(core, id, document, cleanUp);
  const system = cleanUp.use(await ComputeSystem.create(id, document, { core, signal }));
  const machine = { system, binding: binding.hdv, consolePath: guest.consolePath };
  const { console, follow } = await attachFile(file, options, machine, cleanUp);
  await console.connect();
  await system.start({ signal });
  follow();
  if (options.command !== undefined) {
    const code = await runCommand(guest, options.command, signal);
    // A device that has failed fails the command, also where the guest made nothing of it.
    if (code !== 0) process.exitCode = code;
    return;
  }
  remark(
    `Booting Linux with ${file.device.constructor.name}${process.stdin.isTTY ? '; Ctrl-] leaves' : ''}`,
  );
  await console.interact(system.exited, options.initrd === undefined ? guest : undefined, signal);
}

function checkOptions(options: RunOptions): void {
  if (options.command !== undefined && options.initrd !== undefined) {
    throw new UsageError(
      'Cannot run a command in a guest with an initramfs of your own: it has no control agent',
      'leave out --initrd, or --command',
    );
  }
}

function guestOptions(
  file: DeviceFile,
  options: RunOptions,
): Parameters<typeof LinuxGuest.prepare>[0] {
  const { vendorId, deviceId, classCode, subsystemVendorId, subsystemId } = file.device.identity;
  return {
    memory: options.memory,
    processors: options.processors,
    kernel: options.kernel,
    initrd: options.initrd,
    kernelArguments: options.append,
    disks: options.disk,
    share: options.share,
    extraModules: options.module,
    shell: options.command === undefined,
    drive: [
      {
        vendorId,
        deviceId,
        classCode,
        subsystemVendorId: subsystemVendorId ?? vendorId,
        subsystemId: subsystemId ?? deviceId,
      },
    ],
  };
}

/** Runs one command with its output passed on as it comes. @returns its exit code */
async function runCommand(
  guest: LinuxGuest,
  command: string,
  signal: AbortSignal,
): Promise<number> {
  await using agent = await guest.connectAgent(signal);
  const { exitCode } = await agent.run(command, {
    signal,
    output: (stream, chunk) => void process[stream].write(chunk),
  });
  return exitCode;
}
