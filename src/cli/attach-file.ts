import type { ComputeSystem } from '../hcs/compute-system.ts';
import type { Attachment } from '../hdv/attachment.ts';
import { DeviceHost } from '../hdv/device-host.ts';
import type { HdvBinding } from '../hdv/hdv-binding.ts';
import type { CleanUp } from './clean-up.ts';
import type { DeviceFile } from './device-file.ts';
import { GuestConsole } from './guest-console.ts';
import { liveReload } from './live-reload.ts';
import { showNotice } from './notices.ts';
import type { RunOptions } from './run-options.ts';
import { TraceView } from './trace-view.ts';

/** A machine that was made for a device, and does not run yet. */
export interface NewMachine {
  readonly system: ComputeSystem;
  readonly binding: HdvBinding;
  /** Socket or pipe of its first serial port. */
  readonly consolePath: string;
}

/** A device in its machine. */
export interface AttachedFile {
  readonly attachment: Attachment;
  readonly console: GuestConsole;
  /** Shows what happens and watches the file, as the options say, from when the machine runs. */
  follow(): void;
}

/** Attaches the device of a file to a machine, whose console is shown. */
export async function attachFile(
  file: DeviceFile,
  options: RunOptions,
  { system, binding, consolePath }: NewMachine,
  cleanUp: CleanUp,
): Promise<AttachedFile> {
  const devices = cleanUp.use(await DeviceHost.create(system, { binding, report: showNotice }));
  const console = new GuestConsole(consolePath);
  cleanUp.add(() => console.close());
  const remark = (line: string): void => console.remark(line);
  const trace = options.trace ? new TraceView(file, { write: remark }) : undefined;
  if (trace) cleanUp.add(() => trace.end());
  const attachment = await devices.attach(file.module, {
    configuration: options.configuration,
    signal: cleanUp.signal,
    ...(file.exportName === undefined ? {} : { export: file.exportName }),
    ...(trace ? { trace: trace.ring.memory } : {}),
  });
  return {
    attachment,
    console,
    follow: () => {
      trace?.follow();
      if (!options.watch) return;
      cleanUp.add(liveReload({ path: file.path, devices, attachment, remark }));
    },
  };
}
