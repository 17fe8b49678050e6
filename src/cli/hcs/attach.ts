import { EventEmitter, on } from 'node:events';
import type { DeviceNews } from '../../daemon/announced-devices.ts';
import type { ComputeCore } from '../../hcs/compute-core.ts';
import { ComputeSystem } from '../../hcs/compute-system.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { isGone } from '../../hcs/is-gone.ts';
import type { ModifySettingRequest, SystemExitStatus } from '../../hcs/schema/documents.ts';
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
import { type Session, withService } from './session.ts';
import { shownId } from './shown-id.ts';
import { waitForExit } from './wait.ts';

/** What `hcs attach` was given. */
export interface AttachOptions extends ServiceOptions, OutputOptions {
  readonly export?: string;
  readonly configuration: readonly string[];
}

/**
 * Gives a system a device of this process, and serves it until the user interrupts or the system has ended: also while
 * no service runs, where systems outlive theirs.
 */
export async function attach(
  context: HcsContext,
  id: string,
  file: string,
  options: AttachOptions,
): Promise<void> {
  const device = await openFile(file, options.export);
  const news = new EventEmitter();
  const needs = { ...options, devices: (what: DeviceNews) => void news.emit('news', what) };
  await withService(context, needs, async (session) => {
    const { host, cleanUp, signal, whenInterrupted } = session;
    const heard = on(news, 'news', { signal });
    const system = await session.open(id);
    const name = shownId(system.id);
    const exited = exitOf(system);
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
    const served: Served = { devices, attachment, name };
    cleanUp.add(() => takeOut(served));
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
    const status = await waitThroughServices(session, served, system.id, exited, heard);
    remark(`hcs: ${name} has ended: ${exitText(status)}`);
  });
}

/** The device of the command, in its system. */
interface Served {
  readonly devices: DeviceHost;
  readonly attachment: Attachment;
  readonly name: string;
  /** The system as the service has it that runs now, where that is not the first one. */
  again?: ComputeSystem;
}

/** The system has gone while no service ran, so that nobody here knows how it ended. */
class SystemGoneError extends Error {
  override readonly name = 'SystemGoneError';
  readonly remedy = 'hcs wait tells how it ended, where the service that runs now knows';
}

/** Waits for the end of the system, over the ends of services that it outlives. */
async function waitThroughServices(
  { host, signal }: Session,
  served: Served,
  id: string,
  first: Promise<SystemExitStatus>,
  heard: AsyncIterableIterator<unknown>,
): Promise<SystemExitStatus> {
  const { attachment, name } = served;
  let exited = first;
  while (true) {
    try {
      return await waitForExit(id, exited, true, signal);
    } catch (error) {
      // Simulated machines end with their service.
      if (!isServiceGone(error) || host.daemon === undefined || host.name !== 'linux') throw error;
    }
    remark(
      `hcs: the compute service is gone; ${attachment.name} goes on, and is announced to the next one (hcs service start)`,
    );
    await served.again?.close();
    served.again = await announcedAgain(served, id, host.core, heard, signal);
    exited = exitOf(served.again);
    remark(`hcs: ${attachment.name} is announced to the compute service again, for ${name}`);
  }
}

/** @returns the system, once there is a service again that has the device */
async function announcedAgain(
  { attachment, name }: Served,
  id: string,
  core: ComputeCore,
  heard: AsyncIterableIterator<unknown>,
  signal: AbortSignal,
): Promise<ComputeSystem> {
  // A device that is in no machine keeps no process.
  const keep = setInterval(() => undefined, 2 ** 31 - 1);
  try {
    while (true) {
      const { value } = await heard.next();
      const [news] = value as readonly [DeviceNews];
      if (news.key.instanceId !== attachment.instanceId) continue;
      if (news.type === 'givenUp') throw news.error;
      if (news.type === 'forgotten') {
        throw new SystemGoneError(
          `Cannot serve ${attachment.name} any longer: ${name} has ended while no service ran`,
        );
      }
      try {
        return await ComputeSystem.open(id, { core, signal });
      } catch (error) {
        // There will be another one.
        if (!isServiceGone(error)) throw error;
      }
    }
  } finally {
    clearInterval(keep);
  }
}

function exitOf(system: ComputeSystem): Promise<SystemExitStatus> {
  const { exited } = system;
  // It is waited for later.
  exited.catch(() => undefined);
  return exited;
}

function isServiceGone(error: unknown): boolean {
  const { code } = error instanceof HcsError ? error : { code: undefined };
  return code === 'HCS_E_SERVICE_DISCONNECT' || code === 'HCS_E_SERVICE_NOT_AVAILABLE';
}

function openFile(file: string, exportName: string | undefined): Promise<DeviceFile> {
  return exportName === undefined ? openNamedDevice(file) : openDeviceFile(file, exportName);
}

/** The guest shall see the device go, where the host can take it out; where not, it is dead in the machine. */
async function takeOut({ devices, attachment, name, again }: Served): Promise<void> {
  try {
    // The device host's own handle of the system has ended with the service that gave it.
    if (again === undefined) await devices.detach(attachment);
    else await again.modify(removalOf(attachment));
    remark(`hcs: took ${attachment.name} out of ${name}`);
  } catch (error) {
    if (isGone(error)) return;
    const reason = error instanceof Error ? error.message : String(error);
    remark(
      `hcs: ${attachment.name} stays in ${name} and answers no more, as it cannot be taken out: ${reason}`,
    );
  } finally {
    await again?.close();
  }
}

function removalOf({ instanceId, classId }: Attachment): ModifySettingRequest {
  return {
    ResourcePath: `VirtualMachine/Devices/FlexibleIov/${instanceId}`,
    RequestType: 'Remove',
    Settings: { EmulatorId: classId, HostingModel: 'External' },
  };
}
