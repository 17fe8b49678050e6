// Longer than most: all that is told to a machine, when it is made and when it is taken over.
import { openSync, rmSync, writeFileSync } from 'node:fs';
import type { Adoption, Engine, EngineRequest, EngineSystem } from '../../compute/engine.ts';
import type { OwnedResource, OwnedResources } from '../../compute/owned-resources.ts';
import { findQemu, type QemuProgram } from '../../provision/find-qemu.ts';
import { isAlive } from '../../provision/process-identity.ts';
import { chooseAccelerator } from './accelerator.ts';
import { buryMachine, catchUp, endStrays, held, reapMachines } from './adoption.ts';
import { qemuArguments } from './command-line.ts';
import { CRASH_LOG_SIZE } from './crash-log.ts';
import { creationFailure } from './creation-failure.ts';
import { planMachine } from './document.ts';
import { documentSockets } from './document-sockets.ts';
import { eachStep } from './each-step.ts';
import { readEngineRecord } from './engine-record.ts';
import { QemuFiles } from './files.ts';
import { firmwareFor } from './firmware-files.ts';
import { createGuestMemory } from './guest-memory-file.ts';
import { HandedFiles, O_PATH } from './handed-files.ts';
import { letLockMemory } from './hardware/hosting.ts';
import { memorySizes } from './hardware/memory-backends.ts';
import { kernelOptionsFile } from './kernel-options.ts';
import { linuxHostInformation } from './linux-host-information.ts';
import { LiveMachine } from './live-machine.ts';
import { requireAccessToAll } from './machine-access.ts';
import type { MachinePlan, NetworkEndpoints } from './machine-plan.ts';
import { giveFolderTo } from './own-file.ts';
import { type OwnMonitorSocket, ownMonitorSocket } from './own-monitor-socket.ts';
import { removeOwned } from './owned-files.ts';
import { removeDeadControlGroups } from './processor-cgroup.ts';
import { listenForControl, QemuProcess } from './qemu-process.ts';
import { requireHvSocket } from './resources/hv-socket.ts';
import { setLink } from './resources/network-adapter.ts';
import { bindProcessors, limitProcessors } from './resources/processor.ts';
import { type StartedTpm, startTpm } from './resources/tpm.ts';
import { isVirtiofs, startShare } from './resources/virtiofs.ts';
import { restoreSource, type Template, uriOf } from './restore.ts';
import { RootPorts } from './root-ports.ts';
import { SideProcesses } from './side-processes.ts';
import { QemuSystem, type QemuSystemParts } from './system.ts';
import { hasListener } from './unix-sockets.ts';
import { keepAccount, releaseAccount, takeAccount } from './vm-account.ts';
import { warnOnce } from './warn-once.ts';
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
  /** Milliseconds that a guest has to let go of a device, or to give or take memory. Default: 20,000. */
  readonly unplugLimit?: number | undefined;
  /**
   * MiB of memory that a machine can be given beyond what it was created with. Default: 16,384. With 0 there is no
   * persistent memory either, and a Linux guest keeps 64 MiB less for devices that reach only the first 4 GiB.
   */
  readonly memoryRoom?: number | undefined;
  /** Milliseconds that a start waits for the agent of a guest whose document has GuestConnection. Default: 240,000. */
  readonly guestConnectionLimit?: number | undefined;
  /** What network adapters are connected to, by the EndpointId of documents. */
  readonly networkEndpoints?: NetworkEndpoints | undefined;
  /**
   * Machines go on when this process ends, in whatever way, until they are terminated or shut down: another process takes
   * them over by {@link QemuEngine.adopt}, and ends by {@link QemuEngine.reap} those that nobody knows. Default: machines
   * end with this process.
   */
  readonly outlives?: boolean | undefined;
  /**
   * Folder for the sockets and files of machines that outlive this process, an absolute path of at most 80 bytes, without
   * commas, that no other engine uses. Default: XDG_RUNTIME_DIR, or the folder for temporary files.
   */
  readonly folder?: string | undefined;
  /**
   * As whom QEMU runs. `'per-vm'`, the default of a service that is root: each machine has an account of its own, which
   * opens only what HcsGrantVmAccess lets it. `'service'`, which is all that others can: machines have the rights of the
   * service.
   */
  readonly accounts?: 'per-vm' | 'service' | undefined;
  /** Added at the end of QEMU's arguments. */
  readonly extraArgs?: readonly string[] | undefined;
}

/** Default of {@link QemuEngineOptions.memoryRoom}. */
const MEMORY_ROOM_MB = 16 * 1024;

/** A message timeout that outlasts any breakpoint: 24 days, the most that QEMU takes. */
export const NO_MESSAGE_TIMEOUT = 2147483647;

/** Runs virtual machines in QEMU processes, one each, controlled by QMP. They end with this process, or outlive it. */
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
    planMachine(document, this.#options.networkEndpoints);
  }

  async create(request: EngineRequest): Promise<EngineSystem> {
    const options = this.#options;
    const plan = planMachine(request.document, options.networkEndpoints);
    let folder: WatchedFolder | undefined;
    let sides: SideProcesses | undefined;
    let tpm: StartedTpm | undefined;
    let started: QemuProcess | undefined;
    let files: HandedFiles | undefined;
    let monitor: OwnMonitorSocket | undefined;
    let ownSockets: readonly string[] = [];
    const account = hasAccounts(options) ? takeAccount(request.runtimeId) : undefined;
    try {
      requireAccessToAll({ id: request.id, account }, plan);
      const qemu = await findQemu({ explicit: options.qemu });
      if (!qemu.hasSandbox) {
        warnOnce(
          `Machines run without QEMU's sandbox, as ${qemu.command} was built without it: use a QEMU with seccomp, such as "hdvkit provision" brings`,
        );
      }
      const accelerator = await chooseAccelerator(qemu, options.accelerator ?? 'tcg');
      const opened = await restoreSource(plan, this.#templateOf(request), qemu.version);
      const restored = opened?.source;
      const memory = restored?.machine.memory ?? {
        baseMB: plan.memoryMB,
        roomMB: options.memoryRoom ?? MEMORY_ROOM_MB,
      };
      const ports = new RootPorts(restored?.machine.ports);
      const sockets = documentSockets(plan);
      const listening = new Set(
        sockets.filter(({ at, path }) => hasListener(at, path)).map(({ path }) => path),
      );
      folder =
        options.outlives === true
          ? WatchedFolder.kept(options.folder, request.owned)
          : WatchedFolder.create();
      // Programs of the account make their sockets in it.
      if (account !== undefined) giveFolderTo(account, folder.path);
      const running = new SideProcesses(folder, account);
      sides = running;
      const isClone = restored?.ram !== undefined;
      await requireHvSocket(plan, isClone);
      await startSides(running, plan, ports, isClone);
      tpm = await startTpm(running, folder, plan, account);
      files = new HandedFiles(account);
      const [size = 0, ...moreSizes] = memorySizes(plan.hardware.numa, memory.baseMB);
      const memoryFd =
        restored?.ram === undefined
          ? createGuestMemory(size, account)
          : openSync(restored.ram, O_PATH);
      const memoryFds = [files.give(memoryFd)];
      files.give(listenForControl(folder));
      files.giveFolder(folder.path);
      for (const more of moreSizes) {
        memoryFds.push(files.give(createGuestMemory(more, account)));
      }
      const source = restored && {
        ...restored,
        uri: uriOf(files.name(restored.path), restored.offset),
      };
      ownSockets = sockets.map(({ path }) => path).filter((path) => !listening.has(path));
      for (const path of ownSockets) folder.watchFile(path);
      const crashLog = folder.file('crash-log');
      // Programs of the machine run by now: where one of them has put a link nothing is written.
      writeFileSync(crashLog, Buffer.alloc(CRASH_LOG_SIZE), { mode: 0o600, flag: 'wx' });
      const firmware = plan.uefi ? firmwareFor(folder, plan) : undefined;
      const kernelOptions = kernelOptionsFile(folder, plan.commandLine);
      monitor = ownMonitorSocket(plan.console, listening, files, folder);
      if (account !== undefined) giveFolderTo(account, folder.path);
      const [program, args] = files.program(qemu.command, qemu.args);
      const commandLine = [
        ...args,
        ...qemuArguments(plan, {
          id: request.id,
          runtimeId: request.runtimeId,
          majorVersion: majorVersion(qemu),
          accelerator,
          crashLog,
          listening,
          memory,
          memoryFds,
          ports,
          sides: running,
          files,
          monitorSocket: monitor?.name,
          kernelOptions,
          firmware,
          restore:
            source === undefined
              ? undefined
              : {
                  machineType: source.machine.machineType,
                  isClone,
                  memoryAddresses: source.machine.memoryAddresses,
                },
          sandbox: qemu.hasSandbox,
          extraArgs: options.extraArgs ?? [],
        }),
      ];
      const restoreLimit =
        account === undefined ? undefined : letLockMemory(plan.hosting, plan.memoryMB);
      const starting = QemuProcess.start(program, commandLine, folder, files, this.#qmpTimeout);
      restoreLimit?.();
      const qemuProcess = await starting;
      started = qemuProcess;
      await opened?.whole;
      monitor?.place();
      const machine = new LiveMachine({
        id: request.id,
        runtimeId: request.runtimeId,
        qmp: qemuProcess.qmp,
        pid: qemuProcess.pid,
        ports,
        folder,
        sides: running,
        files,
        plan,
        isClone,
        baseMemoryMB: memory.baseMB,
        memoryRoomMB: memory.roomMB,
        guestLimit: options.unplugLimit,
        endpoints: options.networkEndpoints ?? {},
        ownSockets,
      });
      machine.waitsForState = source !== undefined;
      await finish(machine, request.logicalProcessors);
      tpm.keep();
      return this.#system({
        request,
        machine,
        qemu: qemuProcess,
        folder,
        crashLog,
        source,
        make: {
          qemu: qemu.version,
          accelerator,
          memory,
          // With KVM the guest sees the host's own processor.
          ...(accelerator === 'kvm'
            ? { processor: linuxHostInformation().processorCapabilities() }
            : {}),
        },
      });
    } catch (error) {
      const made = ownSockets;
      await eachStep([
        () => started?.quit(),
        () => sides?.endAll(),
        () => tpm?.discard(),
        () => monitor?.discard(),
        ...made.map((path) => () => rmSync(path, { force: true })),
        ...(request.owned === undefined ? [] : [() => removeOwned(request.owned!)]),
        () => folder?.remove(),
        () => files?.close(),
        () => releaseAccount(account),
      ]);
      throw creationFailure(error, plan);
    }
  }

  async adopt(value: unknown, request: EngineRequest): Promise<Adoption> {
    const record = readEngineRecord(value);
    const { owned } = request;
    const folder = WatchedFolder.adopt(record.folder, owned);
    const files = HandedFiles.adopt(record.account, record.folder);
    const qemu = await QemuProcess.adopt(record.process, folder, files, this.#qmpTimeout);
    if (qemu === undefined) return { kind: 'ended', exit: await buryMachine(record, owned) };
    if (request.wasInterrupted === true) await endStrays(record);
    const sides = new SideProcesses(folder, record.account);
    keepAccount(record.account);
    sides.adopt(record.sides);
    const { memory } = record.make;
    const machine = new LiveMachine({
      id: request.id,
      runtimeId: request.runtimeId,
      qmp: qemu.qmp,
      pid: qemu.pid,
      ports: new RootPorts(record.ports),
      folder,
      sides,
      files,
      plan: record.plan,
      isClone: record.isClone,
      baseMemoryMB: memory.baseMB,
      memoryRoomMB: memory.roomMB,
      guestLimit: this.#options.unplugLimit,
      endpoints: this.#options.networkEndpoints ?? {},
      ownSockets: record.ownSockets,
    });
    machine.wasInterrupted = request.wasInterrupted === true;
    machine.needsReset = record.needsReset;
    machine.waitsForState = record.source !== undefined;
    const crashLog = folder.file('crash-log');
    const { request: later, begin } = held(request);
    const { source, make, createdAt } = record;
    // From now on it hears events; what came before is in what it answers.
    const system = this.#system({
      ...{ request: later, machine, qemu, folder, crashLog, source, make, createdAt },
    });
    try {
      const { state, isPaused, missed } = await catchUp(machine, record, crashLog);
      await system.adopt(record, isPaused, state === 'SavedAsTemplate');
      // A save that was on its way is over: what it has written is no machine, or is in its place.
      if (state !== 'SavedAsTemplate') rmSync(folder.file('template'), { force: true });
      if (owned !== undefined) await removeOwned(owned, (one) => isOf(machine, one));
      system.replay(missed);
      begin();
      return { kind: 'machine', system, state, devices: system.devices };
    } catch (error) {
      if (isAlive(record.process)) {
        system.release();
        throw error;
      }
      begin();
      return { kind: 'machine', system, state: 'Running', devices: system.devices };
    }
  }

  async reap(records: readonly unknown[], orphaned?: OwnedResources): Promise<number> {
    const { folder } = this.#options;
    if (folder === undefined) {
      throw new Error(
        'Cannot tell machines of this engine from those of others: make the engine with a folder of its own',
      );
    }
    const count = await reapMachines(
      folder,
      records.map((record) => readEngineRecord(record).folder),
    );
    if (orphaned !== undefined) await removeOwned(orphaned);
    removeDeadControlGroups();
    return count;
  }

  get #qmpTimeout(): number | undefined {
    // With a debugger in a device, QEMU's main loop may stand still for as long as it likes.
    return this.#options.messageTimeout === NO_MESSAGE_TIMEOUT ? 0 : undefined;
  }

  #system(parts: Omit<QemuSystemParts, 'saved' | 'slots' | 'guestConnectionLimit'>): QemuSystem {
    const { messageTimeout, msixUnplug = false, unplugLimit, guestConnectionLimit } = this.#options;
    const { id } = parts.request;
    return new QemuSystem({
      ...parts,
      saved: (template) => {
        if (template === undefined) this.#templates.delete(id);
        else this.#templates.set(id, template);
      },
      slots: { files: parts.qemu.files, messageTimeout, msixUnplug, unplugLimit },
      guestConnectionLimit,
    });
  }

  #templateOf({ template }: EngineRequest): Template | undefined {
    if (template === undefined) return undefined;
    const found = this.#templates.get(template);
    if (found !== undefined) return found;
    throw new Error(`Cannot make a clone of system ${template}: it is no template any more`);
  }
}

/** Starts the programs of what the machine begins with. */
async function startSides(
  sides: SideProcesses,
  { shares }: MachinePlan,
  ports: RootPorts,
  isClone: boolean,
): Promise<void> {
  for (const share of shares) {
    if (isVirtiofs(share, ports)) await startShare(sides, share, isClone);
  }
}

/** Whether machines have accounts of their own: only root can start a process as somebody else. */
function hasAccounts({ accounts }: QemuEngineOptions): boolean {
  const isRoot = process.getuid?.() === 0;
  if (accounts === 'per-vm' && !isRoot) {
    throw new Error(
      "Cannot run machines under accounts of their own (accounts: 'per-vm'): only a service that is root can; leave the option out",
    );
  }
  return isRoot && accounts !== 'service';
}

/** What QEMU's arguments cannot say. */
async function finish(
  machine: LiveMachine,
  logicalProcessors: readonly number[] | undefined,
): Promise<void> {
  const { adapters, processorLimits } = machine.plan;
  for (const adapter of adapters) if (!adapter.isConnected) await setLink(machine, adapter);
  if (logicalProcessors !== undefined) await bindProcessors(machine, logicalProcessors);
  if (processorLimits === undefined) return;
  try {
    await limitProcessors(machine, processorLimits);
  } catch (error) {
    void machine.ended();
    throw error;
  }
}

/** Whether what is owned is a part of a machine that goes on. */
function isOf(
  { ownSockets, processorCgroup }: LiveMachine,
  { kind, name }: OwnedResource,
): boolean {
  return kind === 'file' ? ownSockets.has(name) : processorCgroup?.path === name;
}

function majorVersion({ version }: QemuProgram): number {
  return Number(version.split('.')[0]);
}
