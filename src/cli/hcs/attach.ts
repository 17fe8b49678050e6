import { isGone } from '../../hcs/is-gone.ts';
import type { Attachment } from '../../hdv/attachment.ts';
import { DeviceHost } from '../../hdv/device-host.ts';
import { type DeviceFile, openDeviceFile } from '../device-file.ts';
import { showNotice } from '../notices.ts';
import { remark } from '../terminal.ts';
import { exitText } from '../vm/machine-output.ts';
import { openNamedDevice } from '../vm/running-machine.ts';
import { type OutputOptions, tell } from './output.ts';
import { withPatience } from './patience.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { shownId } from './shown-id.ts';
import { waitForExit } from './wait.ts';

/** What `hcs attach` was given. */
export interface AttachOptions extends ServiceOptions, OutputOptions {
  readonly export?: string;
  readonly configuration: readonly string[];
}

/** Gives a system a device of this process, and serves it until the user interrupts or the system has ended. */
export async function attach(
  context: HcsContext,
  id: string,
  file: string,
  options: AttachOptions,
): Promise<void> {
  const device = await openFile(file, options.export);
  const needs = { ...options, devices: true };
  await withService(context, needs, async ({ host, open, cleanUp, signal, whenInterrupted }) => {
    const system = await open(id);
    const name = shownId(system.id);
    const { exited } = system;
    const devices = cleanUp.use(
      await DeviceHost.create(system, {
        report: showNotice,
        ...(host.hdv === undefined ? {} : { binding: host.hdv }),
      }),
    );
    const { configuration } = options;
    const attachment = await withPatience(
      `Attaching ${device.path}`,
      devices.attach(device.module, {
        configuration,
        signal,
        ...(device.exportName === undefined ? {} : { export: device.exportName }),
      }),
    );
    cleanUp.add(() => takeOut(devices, attachment, name));
    whenInterrupted(`taking ${attachment.name} out of ${name}, which goes on`);
    tell(
      options,
      `Attached ${attachment.name} to ${name} as ${attachment.instanceId}; Ctrl-C takes it out again`,
      {
        command: 'attach',
        id: system.id,
        device: attachment.name,
        instanceId: attachment.instanceId,
      },
    );
    const status = await waitForExit(system.id, exited, true, signal);
    remark(`hcs: ${name} has ended: ${exitText(status)}`);
  });
}

function openFile(file: string, exportName: string | undefined): Promise<DeviceFile> {
  return exportName === undefined ? openNamedDevice(file) : openDeviceFile(file, exportName);
}

/** The guest shall see the device go, where the host can take it out; where not, it is dead in the machine. */
async function takeOut(devices: DeviceHost, attachment: Attachment, name: string): Promise<void> {
  try {
    await devices.detach(attachment);
    remark(`hcs: took ${attachment.name} out of ${name}`);
  } catch (error) {
    if (isGone(error)) return;
    const reason = error instanceof Error ? error.message : String(error);
    remark(
      `hcs: ${attachment.name} stays in ${name} and answers no more, as it cannot be taken out: ${reason}`,
    );
  }
}
