import type { ComputeSystem } from '../../hcs/compute-system.ts';
import { isGone } from '../../hcs/is-gone.ts';
import type { SystemEvent } from '../../hcs/system-event.ts';
import type { Attachment } from '../../hdv/attachment.ts';
import { type AttachOptions, DeviceHost } from '../../hdv/device-host.ts';
import type { HostBinding, HostName } from '../../hosts/host.ts';
import type { CleanUp } from '../clean-up.ts';
import { type DeviceFile, type DeviceModule, openDeviceFile } from '../device-file.ts';
import { showNotice } from '../notices.ts';
import type { MachineOutput } from './machine-output.ts';

/** An event, and when it came. */
export interface TimedEvent {
  readonly time: Date;
  readonly event: SystemEvent;
}

/** Events that are kept for the prompt; of a machine that has more, the latest. */
const KEPT_EVENTS = 100;

/** A machine of this command with what belongs to it: its devices, what happened to it, and its end. */
export class RunningMachine implements AsyncDisposable {
  readonly system: ComputeSystem;
  readonly events: TimedEvent[] = [];
  readonly #binding: HostBinding;
  readonly #cleanUp: CleanUp;
  readonly #output: MachineOutput;
  readonly #shutdownMs: number;
  #devices: DeviceHost | undefined;
  #isStarted = false;
  #following: Promise<void> = Promise.resolve();

  constructor(
    system: ComputeSystem,
    binding: HostBinding,
    cleanUp: CleanUp,
    output: MachineOutput,
    shutdownMs: number,
  ) {
    this.system = system;
    this.#binding = binding;
    this.#cleanUp = cleanUp;
    this.#output = output;
    this.#shutdownMs = shutdownMs;
  }

  /** What it runs on. */
  get host(): HostName {
    return this.#binding.name;
  }

  async start(): Promise<void> {
    await this.system.start({ signal: this.#cleanUp.signal });
    this.#isStarted = true;
  }

  /** Says each event as it comes, until the machine has ended. */
  follow(): Promise<void> {
    this.#following = this.#follow();
    this.#following.catch(() => undefined); // It is awaited when the machine has ended.
    return this.#following;
  }

  async #follow(): Promise<void> {
    for await (const event of this.system.events()) {
      this.events.push({ time: new Date(), event });
      if (this.events.length > KEPT_EVENTS) this.events.shift();
      this.#output.event(event);
    }
  }

  get attachments(): readonly Attachment[] {
    return this.#devices?.list() ?? [];
  }

  /** Attaches the device of a file. */
  async attach(
    file: DeviceModule,
    how: Pick<AttachOptions, 'configuration' | 'placement'> = {},
  ): Promise<Attachment> {
    const { signal } = this.#cleanUp;
    if (this.#devices === undefined) {
      const options = { binding: this.#binding.hdv, report: showNotice };
      this.#devices = await DeviceHost.create(this.system, options);
    }
    return await this.#devices.attach(file.module, {
      ...how,
      signal,
      ...(file.exportName === undefined ? {} : { export: file.exportName }),
    });
  }

  async detach(attachment: Attachment): Promise<void> {
    await this.#devices?.detach(attachment, { signal: this.#cleanUp.signal });
  }

  /**
   * Asks the guest to shut down, and terminates the machine when it does not in time, or cannot be asked. Resolves when
   * the machine has ended, by whatever.
   */
  async shutDown(): Promise<void> {
    const { system } = this;
    try {
      await system.shutDown();
      const limit = AbortSignal.timeout(this.#shutdownMs);
      const late = new Promise<'late'>((resolve) => {
        limit.addEventListener('abort', () => resolve('late'), { once: true });
      });
      const how = await Promise.race([system.exited, late]);
      if (how !== 'late') return;
      this.#output.remark(
        `The guest did not shut down within ${this.#shutdownMs / 1000} s: terminating the machine`,
      );
    } catch (error) {
      if (isGone(error)) return;
      const { State } = await this.system.properties().catch(() => ({ State: undefined }));
      const reason =
        State === 'Paused'
          ? 'it is paused, by a save that was not finished or by pause'
          : error instanceof Error
            ? error.message
            : String(error);
      this.#output.remark(`Terminating the machine, as it cannot be shut down: ${reason}`);
    }
    await this.terminate();
  }

  /** When the user interrupts, the guest may shut down, with its devices alive. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#isStarted && this.#cleanUp.signal.aborted) {
        this.#output.remark('Shutting the machine down; Ctrl-C again ends it at once');
        await this.shutDown();
        await this.#following;
      }
    } finally {
      await this.#devices?.[Symbol.asyncDispose]();
    }
  }

  /** Ends the machine as if its power were cut. Resolves when it has ended. */
  async terminate(): Promise<void> {
    try {
      await this.system.terminate();
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    await this.system.exited;
  }
}

/** Opens the file of `FILE` or `FILE#EXPORT`. @throws UsageError as {@link openDeviceFile} */
export function openNamedDevice(text: string): Promise<DeviceFile> {
  const { path, exportName } = namedDevice(text);
  return openDeviceFile(path, exportName);
}

/** What `FILE` or `FILE#EXPORT` says. */
export function namedDevice(text: string): Pick<DeviceModule, 'path' | 'exportName'> {
  const [, path = text, exportName] = /^(.+)#([A-Za-z_$][\w$]*)$/.exec(text) ?? [];
  return { path, exportName };
}
