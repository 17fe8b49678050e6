import { NO_MESSAGE_TIMEOUT } from '../engines/qemu/engine.ts';
import { LinuxGuest } from '../engines/qemu/linux-guest.ts';
import { ComputeSystem } from '../hcs/compute-system.ts';
import type { Attachment } from '../hdv/attachment.ts';
import { DeviceHost } from '../hdv/device-host.ts';
import { createLinuxHost } from '../hosts/linux/host.ts';
import type { CleanUp } from './clean-up.ts';
import type { DeviceFile } from './device-file.ts';
import { checkOnWorker } from './device-file-check.ts';
import { overlayDocument } from './document.ts';
import { presentFailure } from './failure.ts';
import { GuestConsole } from './guest-console.ts';
import { openInspector } from './inspector.ts';
import { showNotice } from './notices.ts';
import type { RunOptions } from './run-options.ts';
import { remark } from './terminal.ts';
import { TraceView } from './trace-view.ts';
import { UsageError } from './usage-error.ts';
import { watchFile } from './watch-file.ts';

/** Long enough for any breakpoint, and short enough for a timer. */
const NO_STALL_LIMIT_MS = 2 ** 31 - 1;

/** The device in a Linux guest under QEMU: its shell on this terminal, or one command. */
export async function runLinux(
  file: DeviceFile,
  options: RunOptions,
  cleanUp: CleanUp,
): Promise<void> {
  const { signal } = cleanUp;
  checkOptions(file, options);
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
  const system = cleanUp.use(await ComputeSystem.create(id, document, { core, signal }));
  const devices = cleanUp.use(
    await DeviceHost.create(system, { binding: binding.hdv, report: showNotice }),
  );
  const console = new GuestConsole(guest.consolePath);
  cleanUp.add(() => console.close());
  const trace = options.trace
    ? new TraceView(file, { write: (line) => console.remark(line) })
    : undefined;
  if (trace) cleanUp.add(() => trace.end());
  const attachment = await devices.attach(file.module, {
    configuration: options.configuration,
    signal,
    ...(file.exportName === undefined ? {} : { export: file.exportName }),
    ...(trace ? { trace: trace.ring.memory } : {}),
  });
  await console.connect();
  await system.start({ signal });
  trace?.follow();
  if (options.watch) {
    cleanUp.add(watchFile(file.path, () => replace(devices, attachment, file, console)));
  }
  if (options.command !== undefined) {
    process.exitCode = await runCommand(guest, options.command, signal);
    return;
  }
  remark(`Booting Linux with ${file.device.constructor.name}; Ctrl-] leaves`);
  await console.interact(system.exited, options.initrd === undefined ? guest : undefined, signal);
}

function checkOptions(file: DeviceFile, options: RunOptions): void {
  if (options.command !== undefined && options.initrd !== undefined) {
    throw new UsageError(
      'Cannot run a command in a guest with an initramfs of your own: it has no control agent',
      'leave out --initrd, or --command',
    );
  }
  if (options.watch && file.function.shape.interrupts.kind === 'msix') {
    throw new UsageError(
      `Cannot watch ${file.path} on the host linux: its device has MSI-X, and QEMU aborts when such a device is removed`,
      'use msi() in the device, or --host simulated',
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

/** The changed file's device in the place of the old one; a file that is wrong leaves the old one where it is. */
async function replace(
  devices: DeviceHost,
  attachment: Attachment,
  file: DeviceFile,
  console: GuestConsole,
): Promise<void> {
  try {
    await checkOnWorker(file);
    await devices.restart(attachment);
    console.remark(`${attachment.name} took the place of the old one`);
  } catch (error) {
    console.remark(presentFailure(error).text.trimEnd());
  }
}
