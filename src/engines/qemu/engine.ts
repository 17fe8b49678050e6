import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Engine, EngineRequest, EngineSystem } from '../../compute/engine.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import { type Firmware, findFirmware } from '../../provision/find-firmware.ts';
import { findQemu, type QemuProgram } from '../../provision/find-qemu.ts';
import { chooseAccelerator } from './accelerator.ts';
import { qemuArguments } from './command-line.ts';
import { CRASH_LOG_SIZE } from './crash-log.ts';
import { planMachine } from './document.ts';
import { QemuFiles } from './files.ts';
import { QemuProcess } from './qemu-process.ts';
import { restoreSource, type Template } from './restore.ts';
import { creationFailure, QemuSystem } from './system.ts';
import { WatchedFolder } from './watched-folder.ts';

/** How machines are run; everything has a default. */
export interface QemuEngineOptions {
  /** Path of a qemu-system-x86_64. Default: what {@link findQemu} finds. */
  readonly qemu?: string | undefined;
  /**
   * `'auto'` takes KVM where a test boot has shown that it can run a guest. Default: `'tcg'`, which runs everywhere and
   * lets a guest's message-signalled interrupts go to memory, as the test agent has them.
   */
  readonly accelerator?: 'auto' | 'tcg' | 'kvm' | undefined;
  /** Milliseconds that QEMU waits for a device's answer. Default: QEMU's, 5000. {@link NO_MESSAGE_TIMEOUT} for a debugger. */
  readonly messageTimeout?: number | undefined;
  /** May a device with MSI-X be unplugged? Default: no, as QEMU aborts. */
  readonly msixUnplug?: boolean | undefined;
  /** Milliseconds that a guest has to let go of a device. Default: 20,000. */
  readonly unplugLimit?: number | undefined;
  /** Added at the end of QEMU's arguments. */
  readonly extraArgs?: readonly string[] | undefined;
}

/** A message timeout that outlasts any breakpoint: 24 days, the most that QEMU takes. */
export const NO_MESSAGE_TIMEOUT = 2147483647;

/** Runs virtual machines in QEMU processes, one each, controlled by QMP. They end with this process. */
export class QemuEngine implements Engine {
  readonly name = 'qemu';
  readonly files = new QemuFiles();
  readonly #options: QemuEngineOptions;
  /** Machines that were saved as templates and not terminated since, by the ids of their systems. */
  readonly #templates = new Map<string, Template>();

  constructor(options: QemuEngineOptions = {}) {
    this.#options = options;
  }

  check(document: Readonly<Record<string, unknown>>): void {
    planMachine(document);
  }

  async create(request: EngineRequest): Promise<EngineSystem> {
    const plan = planMachine(request.document);
    const options = this.#options;
    let folder: WatchedFolder | undefined;
    try {
      const qemu = await findQemu({ explicit: options.qemu });
      const accelerator = await chooseAccelerator(qemu, options.accelerator ?? 'tcg');
      const source = await restoreSource(plan, this.#templateOf(request), qemu.version);
      const ports = plan.comPorts.filter((path) => path !== undefined);
      const listening = listeningSockets(ports);
      folder = WatchedFolder.create();
      const comSockets = ports.filter((path) => !listening.has(path));
      for (const path of comSockets) folder.watchFile(path);
      const crashLog = folder.file('crash-log');
      writeFileSync(crashLog, Buffer.alloc(CRASH_LOG_SIZE), { mode: 0o600 });
      const firmware = plan.uefi ? firmwareFor(folder) : undefined;
      const qemuProcess = await QemuProcess.start(
        qemu.command,
        (controlSocket) => [
          ...qemu.args,
          ...qemuArguments(plan, {
            id: request.id,
            runtimeId: request.runtimeId,
            majorVersion: majorVersion(qemu),
            accelerator,
            controlSocket,
            crashLog,
            listening,
            firmware,
            restore:
              source === undefined
                ? undefined
                : { machineType: source.machine.machineType, ram: source.ram },
            sandbox: qemu.source !== 'explicit',
            extraArgs: options.extraArgs ?? [],
          }),
        ],
        folder,
        // With a debugger in a device, QEMU's main loop may stand still for as long as it likes.
        options.messageTimeout === NO_MESSAGE_TIMEOUT ? 0 : undefined,
      );
      return new QemuSystem({
        request,
        plan,
        qemu: qemuProcess,
        folder,
        comSockets,
        crashLog,
        source,
        make: { qemu: qemu.version, accelerator, plan },
        saved: (template) => {
          if (template === undefined) this.#templates.delete(request.id);
          else this.#templates.set(request.id, template);
        },
        slots: {
          messageTimeout: options.messageTimeout,
          msixUnplug: options.msixUnplug ?? false,
          unplugLimit: options.unplugLimit,
        },
      });
    } catch (error) {
      await folder?.remove();
      throw creationFailure(error);
    }
  }

  #templateOf({ template }: EngineRequest): Template | undefined {
    if (template === undefined) return undefined;
    const found = this.#templates.get(template);
    if (found !== undefined) return found;
    throw new Error(`Cannot make a clone of system ${template}: it is no template any more`);
  }
}

/** The firmware, with variables of the machine's own that end with it. */
function firmwareFor(folder: WatchedFolder): Firmware {
  const { variables, ...rest } = findFirmware();
  const path = folder.file('variables');
  copyFileSync(variables.path, path);
  return { ...rest, variables: { ...variables, path } };
}

function majorVersion({ version }: QemuProgram): number {
  return Number(version.split('.')[0]);
}

/**
 * Those of the sockets where somebody listens; QEMU makes the others.
 * @throws HcsError when a path is taken by a file of another kind or a socket that nobody listens on
 */
function listeningSockets(paths: readonly string[]): ReadonlySet<string> {
  const listening = new Set<string>();
  for (const path of paths) {
    if (!existsSync(path)) continue;
    if (!isListening(path)) {
      throw new HcsError({
        function: 'HcsCreateComputeSystem',
        hresult: HRESULT.ERROR_FILE_EXISTS,
        message: `Cannot make a COM port of ${path}: the path exists and nobody listens there; remove it or use another`,
      });
    }
    listening.add(path);
  }
  return listening;
}

/** The kernel's table of sockets tells without a connection: __SO_ACCEPTCON is 0x10000 (linux/net.h). */
function isListening(path: string): boolean {
  return readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .some((line) => {
      const [, , , flags = ''] = line.split(' ');
      return line.endsWith(` ${path}`) && (Number.parseInt(flags, 16) & 0x10000) !== 0;
    });
}
