import { LoopClock } from '../../device-host/loop-clock.ts';
import type { GateHandle } from '../../ffi/gate/gate-memory.ts';
import { GateServer } from '../../ffi/gate/gate-server.ts';
import { NativeLibrary } from '../../ffi/native-library.ts';
import { windowsSystem } from '../../ffi/windows-system.ts';
import type { DevicePlatform } from '../../hdv/hdv-binding.ts';
import { hdvServices } from '../../hdv/hdv-services.ts';
import { loadDevice } from '../../hdv/load-device.ts';
import { type DoorbellEntries, DoorbellEvents } from '../../hdv/native/doorbell-events.ts';
import { type HoldingChange, ReportedHoldings } from '../../hdv/native/holdings.ts';
import {
  type NativeDeviceInterface,
  NativeVmDeviceHost,
} from '../../hdv/native/native-vm-device-host.ts';
import { VM_DEVICE_HOST_ABI } from '../../hdv/native/vm-device-host-abi.ts';
import { WindowsSections } from '../../hdv/native/windows-section.ts';
import type { HDV_DEVICE, HDV_HOST } from '../../hdv/vm-device-host.ts';
import { TraceRecorder } from '../../inspect/trace-recorder.ts';
import { TraceRing } from '../../inspect/trace-ring.ts';
import type { FunctionShape } from '../../pci/device-callbacks.ts';
import { GuestSetup } from '../../pci/guest-setup.ts';
import type { FunctionNotice } from '../../pci/host.ts';
import { PciFunction } from '../../pci/pci-function.ts';
import { type ErrorMessage, encodeError } from '../../transport/error-message.ts';
import {
  type BootstrapTask,
  runWorker,
  type WorkerContext,
} from '../../transport/worker-context.ts';
import { WINDOWS_CAPABILITIES } from './capabilities.ts';
import { DeviceLoop } from './device-loop.ts';
import { GateRequests, type LifecycleCallback } from './gate-requests.ts';
import { type LibraryPaths, libraryPath } from './library-paths.ts';
import { type Lifecycle, ServedFunction } from './served-function.ts';

/** What a device worker is started with. */
export interface DeviceWorkerData {
  readonly module: string;
  readonly exportName: string | undefined;
  /** Memory of a trace ring. */
  readonly trace: SharedArrayBuffer | undefined;
  readonly libraries: LibraryPaths;
  readonly gate: GateHandle;
}

/** What it says when the device is constructed. */
export interface DeviceWorkerReady {
  /** Class name of the device. */
  readonly name: string;
  readonly shape: FunctionShape;
  /** Memory of the function's GuestSetup. */
  readonly setup: SharedArrayBuffer;
}

/** What a device needs of its surroundings, whether its instance is new or not. */
export interface InstanceParts {
  /** Not 0 once the teardown of the device host began. */
  readonly tornDown: Int32Array;
  readonly doorbells: DoorbellEntries;
}

/** Argument of the command `create`, which makes the device instance; it answers with the HDV_DEVICE. */
export interface CreateCommand extends InstanceParts {
  readonly host: HDV_HOST;
  readonly classId: string;
  readonly instanceId: string;
  readonly table: NativeDeviceInterface;
}

/** Argument of the command `adopt`, which takes over an instance that another worker had. */
export interface AdoptCommand extends InstanceParts {
  readonly device: HDV_DEVICE;
  readonly lifecycle: Lifecycle;
  /** Memory of the GuestSetup that the guest goes on with; undefined where the device is new to it. */
  readonly setup: SharedArrayBuffer | undefined;
}

/** What the worker reports by itself. */
export type DeviceWorkerNotice =
  | { readonly type: 'guestError'; readonly text: string; readonly count: number }
  | { readonly type: 'failed'; readonly error: ErrorMessage }
  | {
      readonly type: 'refused';
      readonly callback: LifecycleCallback;
      readonly error: ErrorMessage;
    }
  | { readonly type: 'lifecycle'; readonly lifecycle: Lifecycle }
  | { readonly type: 'holding'; readonly change: HoldingChange };

/** Entry of the worker that serves one device to Hyper-V. */
export const run = (task: BootstrapTask): Promise<void> =>
  runWorker<DeviceWorkerData>(task, async (context) => {
    const { exportName, gate, libraries, module, trace } = context.data;
    const system = windowsSystem(libraries.system);
    const library = NativeLibrary.open(libraryPath(libraries, 'vmdevicehost'), VM_DEVICE_HOST_ABI);
    library.bindAll();
    const server = new GateServer(system, gate);
    // Everything native is loaded: code of the device's author, which may never return, comes after this.
    context.control.release();
    const fn = new PciFunction(await loadDevice(new URL(module), exportName));
    if (trace !== undefined) fn.observer = new TraceRecorder(new TraceRing(trace));
    const parts = { context, system, library, server };
    await new HostedDevice(parts, fn).run();
  });

interface Parts {
  readonly context: WorkerContext<DeviceWorkerData>;
  readonly system: ReturnType<typeof windowsSystem>;
  readonly library: NativeLibrary<typeof VM_DEVICE_HOST_ABI>;
  readonly server: GateServer;
}

/** A device, and what connects it to Hyper-V. */
class HostedDevice {
  readonly #parts: Parts;
  readonly #function: PciFunction;
  readonly #served: ServedFunction;
  readonly #clock = new LoopClock();
  readonly #holdings = new ReportedHoldings((change) => this.#notify({ type: 'holding', change }));
  readonly #sections: WindowsSections;
  #doorbells: DoorbellEvents | undefined;
  #release: () => void = () => undefined;
  #isConnected = false;

  constructor(parts: Parts, fn: PciFunction) {
    this.#parts = parts;
    this.#function = fn;
    this.#sections = new WindowsSections(parts.system, this.#holdings);
    this.#served = new ServedFunction(fn, {
      changed: (lifecycle) => this.#notify({ type: 'lifecycle', lifecycle }),
      tornDown: () => this.#release(),
    });
  }

  async run(): Promise<void> {
    const { context, server, system } = this.#parts;
    const requests = new GateRequests({
      server,
      device: this.#served,
      refused: (callback, error) =>
        this.#notify({ type: 'refused', callback, error: encodeError(error) }),
    });
    const loop = new DeviceLoop({
      context,
      system,
      server,
      clock: this.#clock,
      serve: () => requests.serve(),
      ring: (doorbell) => this.#doorbells?.ring(doorbell),
      command: (method, argument) => this.#command(method, argument),
    });
    const { device, setup, shape } = this.#function;
    const ready = { name: device.constructor.name, shape, setup: setup.buffer };
    context.ready(ready satisfies DeviceWorkerReady);
    try {
      await this.#awaitInstance();
      await loop.run();
      this.#powerOff();
    } finally {
      this.#holdings.close();
    }
  }

  /** Until it has an instance, the gate is somebody else's to serve: the device that it takes the place of. */
  async #awaitInstance(): Promise<void> {
    const { context, system } = this.#parts;
    const { control } = context;
    while (!this.#isConnected && !control.stopRequested) {
      control.resting = true;
      system.WaitForSingleObject(context.attention, context.patience);
      control.resting = false;
      control.advance();
      this.#clock.runDue();
      context.attend((method, argument) => this.#command(method, argument));
      await context.turn();
    }
  }

  #command(method: string, argument: unknown): unknown {
    switch (method) {
      case 'create':
        return this.#create(argument as CreateCommand);
      case 'adopt':
        this.#adopt(argument as AdoptCommand);
        return undefined;
      case 'powerOff':
        this.#powerOff();
        return undefined;
      case 'settle':
        // All that was reported before has been received when this is answered.
        return undefined;
      default:
        throw new Error(`Cannot ${method}: a device worker has no such command`);
    }
  }

  /** Nobody serves the gate until this has returned, so the function is connected before Initialize comes. */
  #create({ classId, host, instanceId, table, ...parts }: CreateCommand): HDV_DEVICE {
    const deviceHost = this.#deviceHost(parts);
    const device = deviceHost.createDevice(host, classId, instanceId, table);
    this.#connect(deviceHost, device, parts);
    return device;
  }

  #adopt({ device, lifecycle, setup, ...parts }: AdoptCommand): void {
    this.#connect(this.#deviceHost(parts), device, parts);
    this.#served.resume(lifecycle, () => {
      if (setup !== undefined) this.#function.adopt(GuestSetup.of(setup));
    });
  }

  #deviceHost({ tornDown }: InstanceParts): NativeVmDeviceHost {
    const { context, library, system } = this.#parts;
    const { control } = context;
    return new NativeVmDeviceHost({
      library,
      system,
      tornDown,
      protect: (run) => control.protect(run),
      holdings: this.#holdings,
    });
  }

  #connect(
    vmDeviceHost: NativeVmDeviceHost,
    device: HDV_DEVICE,
    { doorbells }: InstanceParts,
  ): void {
    const { context, system } = this.#parts;
    const events = new DoorbellEvents(system, doorbells, this.#holdings);
    this.#doorbells = events;
    const platform: DevicePlatform = {
      clock: () => this.#clock,
      storesFault: true,
      doorbellEvent: (_device, ring) => context.control.protect(() => events.create(ring)),
      section: (size) => context.control.protect(() => this.#sections.create(size)),
    };
    const binding = { vmDeviceHost, platform, capabilities: WINDOWS_CAPABILITIES };
    this.#function.connect(
      hdvServices(binding, device, (notice) => this.#notify(encodeNotice(notice))),
    );
    this.#release = () => vmDeviceHost.releaseDevice(device);
    this.#isConnected = true;
  }

  #powerOff(): void {
    this.#served.teardown();
  }

  #notify(notice: DeviceWorkerNotice): void {
    this.#parts.context.notify(notice);
  }
}

function encodeNotice(notice: FunctionNotice): DeviceWorkerNotice {
  return notice.type === 'failed' ? { type: 'failed', error: encodeError(notice.error) } : notice;
}
