import { createInterface, type Interface } from 'node:readline';
import { ComputeSystem } from '../hcs/compute-system.ts';
import type { Attachment } from '../hdv/attachment.ts';
import { DeviceHost } from '../hdv/device-host.ts';
import type { HostBinding } from '../hosts/host.ts';
import { useHost } from '../hosts/index.ts';
import { TraceRecorder } from '../inspect/trace-recorder.ts';
import type { GuestAccess, GuestFunction } from '../testing/guest-access.ts';
import type { CleanUp } from './clean-up.ts';
import { type DeviceFile, openDeviceFile } from './device-file.ts';
import { overlayDocument } from './document.ts';
import { ExitCode } from './failure.ts';
import { openInspector } from './inspector.ts';
import { liveReload } from './live-reload.ts';
import { showNotice } from './notices.ts';
import { RegisterShell, SHELL_HELP, ShellError } from './register-shell.ts';
import type { RunOptions } from './run-options.ts';
import { prepareSimulatedGuest } from './simulated-guest.ts';
import { print, remark } from './terminal.ts';
import { TraceView } from './trace-view.ts';

/** The device in a simulated machine, with a shell for its registers. */
export async function runSimulated(
  file: DeviceFile,
  options: RunOptions,
  cleanUp: CleanUp,
): Promise<void> {
  const binding = useHost('simulated');
  cleanUp.add(() => binding.close());
  if (options.inspect !== undefined) openInspector(options.inspect, cleanUp);
  const machine = await SimulatedRun.start(binding, file, options, cleanUp);
  if (options.command !== undefined) {
    await runCommand(machine, options.command, cleanUp);
    return;
  }
  if (options.watch) cleanUp.add(machine.watch());
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: process.stdin.isTTY === true,
    prompt: process.stdin.isTTY ? `${file.device.constructor.name}> ` : '',
    completer: (line: string) => machine.complete(line),
  });
  cleanUp.add(() => lines.close());
  if (process.stdin.isTTY) remark(SHELL_HELP);
  await converse(lines, machine, cleanUp);
}

async function runCommand(machine: SimulatedRun, command: string, cleanUp: CleanUp): Promise<void> {
  try {
    const said = await runInterruptibly(machine, command, cleanUp);
    if (said) print(said);
  } catch (error) {
    if (!(error instanceof ShellError)) throw error;
    remark(error.message);
    process.exitCode = ExitCode.FAILED;
  }
  machine.showTrace();
}

/** The device runs on this thread: one that never returns is ended by Ctrl-C all the same, also on a terminal. */
async function runInterruptibly(
  { shell }: SimulatedRun,
  command: string,
  cleanUp: CleanUp,
): Promise<string | undefined> {
  const { stdin } = process;
  const isRaw = stdin.isTTY && stdin.isRaw;
  if (isRaw) stdin.setRawMode(false);
  try {
    return await cleanUp.whileSignalsEndTheProcess(() => shell.run(command));
  } finally {
    if (isRaw) stdin.setRawMode(true);
  }
}

async function converse(lines: Interface, machine: SimulatedRun, cleanUp: CleanUp): Promise<void> {
  lines.prompt();
  // Ctrl-C in a line editor ends the shell as quit does.
  lines.on('SIGINT', () => lines.close());
  for await (const line of lines) {
    try {
      const said = await runInterruptibly(machine, line, cleanUp);
      machine.showTrace();
      if (said === undefined) return;
      if (said !== '') print(said);
    } catch (error) {
      machine.showTrace();
      if (!(error instanceof ShellError)) throw error;
      remark(error.message);
    }
    lines.prompt();
  }
}

/** A running simulated machine with one device in it, which may be replaced. */
class SimulatedRun {
  shell!: RegisterShell;
  readonly #devices: DeviceHost;
  readonly #guest: GuestAccess;
  readonly #options: RunOptions;
  #trace: TraceView | undefined;
  #attachment: Attachment | undefined;
  #function: GuestFunction | undefined;
  #file: DeviceFile;
  #generation = 0;

  private constructor(
    devices: DeviceHost,
    guest: GuestAccess,
    file: DeviceFile,
    options: RunOptions,
  ) {
    this.#devices = devices;
    this.#guest = guest;
    this.#file = file;
    this.#options = options;
  }

  static async start(
    binding: HostBinding,
    file: DeviceFile,
    options: RunOptions,
    cleanUp: CleanUp,
  ): Promise<SimulatedRun> {
    const { signal } = cleanUp;
    const setup = prepareSimulatedGuest();
    const core = binding.computeCore;
    const document = overlayDocument(setup.document, options.document);
    const id = `hdvkit-run-${process.pid}`;
    const system = cleanUp.use(await ComputeSystem.create(id, document, { core, signal }));
    const devices = cleanUp.use(
      await DeviceHost.create(system, { binding: binding.hdv, report: showNotice }),
    );
    await system.start({ signal });
    const session = cleanUp.use(await setup.open(binding, system, signal));
    const run = new SimulatedRun(devices, session.guest, file, options);
    cleanUp.add(() => run.#trace?.end());
    await run.#attach(file);
    return run;
  }

  /** Puts the device of the file in the place of the running one when it is saved. @returns what ends that */
  watch(): () => void {
    return liveReload({
      path: this.#file.path,
      devices: this.#devices,
      attachment: this.#attachment!,
      remark,
      replaced: async () => {
        this.#trace?.flush();
        const { path, exportName } = this.#file;
        this.#file = await openDeviceFile(path, exportName, ++this.#generation);
        this.shell = new RegisterShell(this.#guest, this.#function!, this.#file.device);
      },
    });
  }

  showTrace(): void {
    this.#trace?.flush();
  }

  complete(line: string): [string[], string] {
    const word = line.slice(line.lastIndexOf(' ') + 1);
    const found = this.shell.names.filter((name) => name.startsWith(word));
    return [found, word];
  }

  async #attach(file: DeviceFile): Promise<void> {
    const { configuration, trace, watch } = this.#options;
    if (trace) this.#trace = new TraceView(file, { write: remark });
    if (watch) {
      // On a worker, where another device can take its place.
      this.#attachment = await this.#devices.attach(file.module, {
        configuration,
        placement: 'worker',
        ...(file.exportName === undefined ? {} : { export: file.exportName }),
        ...(this.#trace === undefined ? {} : { trace: this.#trace.ring.memory }),
      });
    } else {
      this.#attachment = await this.#devices.attach(file.device, { configuration });
      if (this.#trace) {
        this.#attachment.function!.observer = new TraceRecorder(this.#trace.ring);
      }
    }
    const { vendorId, deviceId } = file.device.identity;
    const fn = await this.#guest.open({ vendorId, deviceId });
    const { interrupts } = this.#attachment.shape;
    if (interrupts.kind !== 'none') {
      await fn.enableInterrupts(interrupts.kind, 'count' in interrupts ? interrupts.count : 1);
    }
    this.#trace?.flush();
    this.#function = fn;
    this.shell = new RegisterShell(this.#guest, fn, file.device);
  }
}
