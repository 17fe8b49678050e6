/** Longer than 300 lines because the ten callbacks and the single `try` around device code belong on one page. */

import { DeviceFailedError } from '../device/device-failed-error.ts';
import { SINK } from '../device/interrupts.ts';
import type { MmioRegion, Width } from '../device/mmio-region.ts';
import { connectServices, type PciDevice } from '../device/pci-device.ts';
import { refusePromise } from '../device/promise-check.ts';
import type { ResetKind } from '../device/services.ts';
import {
  addMsix,
  doorbellRows,
  mappedRanges,
  type PlacedBar,
  placeBars,
  placeMsix,
  probedBars,
} from './bar-layout.ts';
import { ALL_ONES, BarRouter } from './bar-router.ts';
import { capabilityBlocks } from './capability-blocks.ts';
import { findCapability, layCapabilities, layExtendedCapabilities } from './capability-chain.ts';
import { fillHeader, pnpIdOf } from './config-header.ts';
import { CapabilityId, CONVENTIONAL_SIZE, EXPRESS_SIZE, Header } from './config-registers.ts';
import { ConfigSpace } from './config-space.ts';
import type {
  FunctionShape,
  InterruptShape,
  PciDetails,
  PciDeviceCallbacks,
  PciFunctionExtras,
} from './device-callbacks.ts';
import { DeviceClock } from './device-clock.ts';
import { DeviceMemory } from './device-memory.ts';
import { DirectAccess } from './direct-access.ts';
import { FunctionState } from './function-state.ts';
import type { GuestSetup } from './guest-setup.ts';
import type { PciHost } from './host.ts';
import { InterruptLine } from './interrupt-line.ts';
import { Msi } from './msi.ts';
import { Msix, type MsixPlace } from './msix.ts';
import type { FunctionObserver } from './observer.ts';
import { checkRegions, type FunctionSnapshot, parseSnapshot, saveRegions } from './snapshot.ts';

/** What the three ways to interrupt have in common. */
interface InterruptController {
  flush(): void;
  reset(): void;
  save(): unknown;
  check(state: unknown): unknown;
  apply(checked: unknown): void;
}

/** Devices that are in use. A device has one set of services, so one host at a time. */
const attachedDevices = new WeakSet<PciDevice>();

/** What a function routes to while it does not decode. As long as the other list, so that no read is out of bounds. */
const nothingDecoded: readonly undefined[] = Array(6).fill(undefined);

/**
 * Makes a PCI function of a device: configuration space, capabilities, BARs, interrupts, and everything that stands
 * between the author's code and a host. Every call of device code passes here, so that what it throws stops the device
 * and nothing else.
 */
export class PciFunction implements PciDeviceCallbacks, PciFunctionExtras {
  readonly device: PciDevice;
  readonly shape: FunctionShape;
  /** BARs with everything in them, the MSI-X structures included. */
  readonly bars: readonly PlacedBar[];
  readonly #state: FunctionState;
  readonly #space: ConfigSpace;
  readonly #details: PciDetails;
  readonly #routers: readonly (BarRouter | undefined)[];
  /** The routers while the function decodes its BARs, else nothing: one test on the path per access. */
  #decoded: readonly (BarRouter | undefined)[] = nothingDecoded;
  #observer: FunctionObserver | undefined;
  readonly #clock: DeviceClock;
  readonly #memory: DeviceMemory;
  readonly #direct: DirectAccess;
  readonly #msix: Msix | undefined;
  readonly #interrupts: InterruptController | undefined;
  #initialized = false;
  /** What the device was told last; undefined when nothing yet. */
  #configuration: readonly string[] | undefined;
  #fresh = true;

  /** @throws TypeError or RangeError when the device's declarations contradict each other or the specification */
  constructor(device: PciDevice) {
    const name = device.constructor.name;
    const state = new FunctionState(name);
    this.device = device;
    this.#state = state;
    this.#memory = new DeviceMemory(state);
    this.#clock = new DeviceClock(state, (fn) => this.#run(fn, 'a timer'));

    const { interrupts } = device;
    const declared = placeBars(device.bars);
    const { conventional, extended } = capabilityBlocks(device.capabilities, {
      setPower: (asleep, reset) => this.#setPower(asleep, reset),
      functionLevelReset: () => this.reset('function'),
    });
    const express = conventional.some(({ id }) => id === CapabilityId.PCI_EXPRESS);
    const vectors = interrupts.kind === 'msix' ? interrupts.count : 0;
    const space = new ConfigSpace(express ? EXPRESS_SIZE : CONVENTIONAL_SIZE, vectors);
    this.#space = space;

    let bars = declared;
    let place: MsixPlace | undefined;
    if (interrupts.kind === 'msix') {
      place = placeMsix(declared, interrupts.count, interrupts.options);
      this.#msix = new Msix(state, interrupts.count, place, space.setup.table);
      this.#interrupts = this.#msix;
      bars = addMsix(declared, place, this.#msix.table, this.#msix.pendingBits);
      conventional.unshift(this.#msix.block);
    } else if (interrupts.kind === 'msi') {
      const controller = new Msi(state, interrupts.count, interrupts.options);
      this.#interrupts = controller;
      conventional.unshift(controller.block);
    } else if (interrupts.kind === 'intx') {
      this.#interrupts = new InterruptLine(state, space);
    }

    const pnpId = pnpIdOf(name, device.identity);
    fillHeader(space, pnpId, bars);
    layCapabilities(space, conventional);
    layExtendedCapabilities(space, extended);
    space.seal();
    space.onWrite(Header.COMMAND, () => this.#gatesChanged());

    this.bars = bars;
    this.#routers = [0, 1, 2, 3, 4, 5].map((slot) => {
      const bar = bars.find((candidate) => candidate.slot === slot);
      return bar === undefined ? undefined : new BarRouter(bar.parts);
    });
    this.#details = { pnpId, probedBars: probedBars(bars) };
    const ranges = mappedRanges(bars);
    const doorbells = doorbellRows(bars);
    this.#direct = new DirectAccess(state, ranges, doorbells, (bar, offset) =>
      this.#ring(bar, offset),
    );
    this.shape = {
      bars: bars.map(({ slot, size, is64Bit, prefetchable }) => {
        return { slot, size, is64Bit, prefetchable };
      }),
      interrupts: this.#interruptShape(place),
      configSize: space.size,
      doorbells,
      mapped: ranges.map(({ bar, offset, region }) => ({ bar, offset, size: region.size })),
    };
  }

  /** The host, or undefined before {@link PciFunction.connect}. */
  get host(): PciHost | undefined {
    return this.#state.host;
  }

  /** Watches accesses, DMA, interrupts and resets; may be set at any time. */
  get observer(): FunctionObserver | undefined {
    return this.#observer;
  }

  set observer(observer: FunctionObserver | undefined) {
    this.#observer = observer;
    this.#state.observer = observer;
  }

  get failure(): DeviceFailedError | undefined {
    return this.#state.failure;
  }

  /** What the guest has set up, in memory that outlives this function: configuration space and MSI-X table. */
  get setup(): GuestSetup {
    return this.#space.setup;
  }

  /** How often the guest did something that the device's specification forbids. */
  get guestErrors(): number {
    return this.#state.guestErrors;
  }

  /**
   * Says which host the function is in. Comes before {@link PciFunction.initialize}, or after
   * {@link PciFunction.teardown}.
   * @throws Error when the function is in use, or the host cannot carry its interrupts
   */
  connect(host: PciHost): void {
    const { name } = this.#state;
    if (this.#initialized) {
      throw new Error(`Cannot connect ${name}: it is attached to a host; tear it down first`);
    }
    if (this.device.interrupts.kind === 'intx' && !host.capabilities.intx) {
      throw new Error(
        `Cannot connect ${name}: it interrupts by INTx, which this host does not have; use msix() or msi()`,
      );
    }
    this.#state.host = host;
  }

  /** Attaches the device. A function that was in use before starts as after power-on; a new one, or one just restored, as it is. */
  initialize(): void {
    const state = this.#state;
    if (state.host === undefined) {
      throw new Error(`Cannot initialize ${state.name}: it is not connected to a host`);
    }
    if (this.#initialized) {
      throw new Error(`Cannot initialize ${state.name} twice: tear it down first`);
    }
    if (attachedDevices.has(this.device)) {
      throw new Error(
        `Cannot initialize ${state.name}: this instance is attached elsewhere; make one for each attach`,
      );
    }
    const { interrupts } = this.device;
    if (interrupts.kind !== 'none' && interrupts[SINK] !== undefined) {
      throw new Error(
        `Cannot initialize ${state.name}: another device has its interrupts; call ${interrupts.kind}() for each instance`,
      );
    }
    attachedDevices.add(this.device);
    this.#initialized = true;
    this.#direct.attach();
    connectServices(this.device, {
      memory: this.#memory,
      clock: this.#clock,
      guestError: (text) => state.guestError(text),
    });
    this.#connectInterrupts(true);
    if (!this.#fresh) {
      state.failure = undefined;
      this.reset('cold');
    }
    this.#fresh = false;
  }

  teardown(): void {
    if (!this.#initialized) return;
    this.stop();
    this.#initialized = false;
    this.#configuration = undefined;
    attachedDevices.delete(this.device);
    this.#direct.detach();
    this.#connectInterrupts(false);
    connectServices(this.device, undefined);
  }

  /** @throws RangeError when the device does not know a string */
  setConfiguration(values: readonly string[]): void {
    const result: unknown = this.device.configure(values);
    refusePromise(result, 'configure');
    this.#configuration = values;
  }

  getDetails(): PciDetails {
    return this.#details;
  }

  /** @throws DeviceFailedError when the device fails to start */
  start(): void {
    const state = this.#state;
    if (!this.#initialized) throw new Error(`Cannot start ${state.name}: it is not initialized`);
    if (state.failure !== undefined) throw state.failure;
    if (state.started) return;
    state.started = true;
    this.#gatesChanged();
    this.#demand(() => this.device.start(), 'start');
    this.#direct.started();
  }

  stop(): void {
    const state = this.#state;
    if (!state.started) return;
    try {
      refusePromise(this.device.stop(), 'stop');
    } catch (error) {
      state.started = false;
      this.#fail(error);
    }
    this.#quiesce();
  }

  readConfigSpace(offset: number): number {
    const value = this.peekConfigSpace(offset);
    this.#observer?.configRead?.(offset, value);
    return value;
  }

  peekConfigSpace(offset: number): number {
    if (this.#state.failure !== undefined) return 0xffff_ffff;
    try {
      return this.#space.read(offset);
    } catch (error) {
      this.#fail(error);
      return 0xffff_ffff;
    }
  }

  writeConfigSpace(offset: number, value: number): void {
    const state = this.#state;
    state.observer?.configWrite?.(offset, value);
    if (state.failure !== undefined) {
      // For whoever takes its place: nobody tells the guest that its writes were lost.
      this.setup.write(offset, 4, value);
      return;
    }
    try {
      this.#space.write(offset, value);
    } catch (error) {
      this.#fail(error);
    }
  }

  readInterceptedMemory(bar: number, offset: number, width: Width): number {
    const router = this.#decoded[bar];
    let value: number;
    if (router === undefined) {
      value = ALL_ONES[width]!;
    } else {
      try {
        value = router.read(offset, width);
      } catch (error) {
        this.#fail(error);
        value = ALL_ONES[width]!;
      }
    }
    if (this.#observer !== undefined) this.#observer.memoryRead?.(bar, offset, width, value);
    return value;
  }

  writeInterceptedMemory(bar: number, offset: number, width: Width, value: number): void {
    if (this.#observer !== undefined) this.#observer.memoryWrite?.(bar, offset, width, value);
    const router = this.#decoded[bar];
    if (router === undefined) return;
    try {
      router.write(offset, width, value);
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * A function that was reset goes on running, with its start-up state (PCIe 6.0, 6.6). Configuration outlasts resets,
   * as switches on a board do: the device is told it again, because it may keep it in registers.
   */
  reset(kind: ResetKind): void {
    const state = this.#state;
    if (state.failure !== undefined) {
      this.#interrupts?.reset();
      this.#space.reset(kind);
      return;
    }
    this.#clock.cancelAll();
    this.#memory.revoke();
    // Before config space, which enables INTx: a line that the guest had disabled must not show on the way.
    this.#interrupts?.reset();
    this.#space.reset(kind);
    state.asleep = false;
    this.#gatesChanged();
    this.#direct.reset();
    this.#run(() => {
      for (const region of this.#regions()) refusePromise(region.reset?.(), 'reset of a region');
      return this.device.reset(kind);
    }, 'reset');
    const configuration = this.#configuration;
    if (configuration !== undefined) {
      this.#run(() => this.device.configure(configuration), 'configure');
    }
    state.observer?.reset?.(kind);
  }

  /**
   * The function's whole state: a plain object of numbers, strings and Buffers.
   * @throws DeviceFailedError when the device fails to say its own, or has failed before
   */
  save(): FunctionSnapshot {
    let bars: FunctionSnapshot['bars'] = {};
    let own: unknown;
    this.#demand(() => {
      bars = saveRegions(this.bars);
      own = this.device.save();
      return own;
    }, 'save');
    return {
      version: 1,
      device: this.#state.name,
      config: this.#space.save(),
      interrupts: this.#interrupts?.save(),
      bars,
      state: own,
    };
  }

  /**
   * Puts back what {@link PciFunction.save} gave, also after a detour through JSON. A running device is stopped before
   * and started after.
   * @throws TypeError when the snapshot is of another device or shape; nothing has been changed then
   * @throws DeviceFailedError when the device fails on its own part, or has failed before
   */
  restore(snapshot: unknown): void {
    const state = this.#state;
    if (state.failure !== undefined) throw state.failure;
    const saved = parseSnapshot(state.name, snapshot);
    const config = this.#space.check(saved.config);
    const interrupts = this.#interrupts?.check(saved.interrupts);
    const restoreRegions = checkRegions(this.bars, saved.bars);
    const undoRegions = checkRegions(this.bars, saveRegions(this.bars));
    const wasStarted = state.started;
    this.stop();
    try {
      restoreRegions();
    } catch (error) {
      this.#demand(undoRegions, 'restore');
      if (wasStarted) this.start();
      throw error;
    }
    this.#applyConfig(config);
    this.#interrupts?.apply(interrupts);
    this.#demand(() => this.device.restore(saved.state), 'restore');
    this.#gatesChanged();
    if (wasStarted) this.start();
  }

  /**
   * Goes on with what the guest has set up in a function that this one takes the place of: configuration space and
   * MSI-X table. Registers stay as they are, no interrupt is pending. Comes before {@link PciFunction.start}.
   * @throws TypeError when the function does not look the same; nothing has been changed then
   */
  adopt(setup: GuestSetup): void {
    const { words, table } = setup;
    if (table.length !== this.#space.setup.table.length) {
      throw new TypeError(
        `Cannot adopt the MSI-X table: it has ${table.length / 4} vectors, and ${this.#state.name} has ${this.#space.setup.table.length / 4}`,
      );
    }
    this.#applyConfig(this.#space.checkWords(words));
    this.#msix?.adopt(table);
    this.#gatesChanged();
  }

  setMsixEntry(vector: number, address: number, data: number, masked: boolean): void {
    const { interrupts } = this.shape;
    const count = interrupts.kind === 'msix' ? interrupts.count : 0;
    if (this.#msix === undefined || !(vector >= 0 && vector < count)) {
      throw new RangeError(
        `Cannot set MSI-X entry ${vector} of ${this.#state.name}: there is no such vector`,
      );
    }
    this.#msix.setEntry(vector, address, data, masked);
  }

  #applyConfig(words: Uint32Array): void {
    const space = this.#space;
    space.apply(words);
    const power = findCapability(space.bytes, CapabilityId.POWER_MANAGEMENT);
    this.#state.asleep = power !== 0 && (space.bytes[power + 4]! & 3) === 3;
  }

  #regions(): MmioRegion[] {
    const ours = [this.#msix?.table, this.#msix?.pendingBits];
    return this.bars.flatMap(({ parts }) =>
      parts.map(({ region }) => region).filter((region) => !ours.includes(region)),
    );
  }

  /** A doorbell was rung without an access. Its region hears of it as of a write whose value says nothing. */
  #ring(bar: number, offset: number): void {
    const router = this.#decoded[bar];
    if (router === undefined) return;
    if (this.#observer !== undefined) this.#observer.doorbellRung?.(bar, offset);
    try {
      router.write(offset, 4, 0);
    } catch (error) {
      this.#fail(error);
    }
  }

  #interruptShape(place: MsixPlace | undefined): InterruptShape {
    const { interrupts } = this.device;
    if (interrupts.kind === 'msix' && place !== undefined && this.#msix !== undefined) {
      return {
        kind: 'msix',
        count: interrupts.count,
        capability: this.#msix.offset,
        table: { bar: place.bar, offset: place.table },
        pendingBits: { bar: place.bar, offset: place.pendingBits },
      };
    }
    if (interrupts.kind === 'msi' && this.#interrupts instanceof Msi) {
      return { kind: 'msi', count: interrupts.count, capability: this.#interrupts.offset };
    }
    return { kind: interrupts.kind === 'intx' ? 'intx' : 'none' };
  }

  #connectInterrupts(attached: boolean): void {
    const { interrupts } = this.device;
    const sink: unknown = attached ? this.#interrupts : undefined;
    if (interrupts.kind !== 'none') interrupts[SINK] = sink as never;
  }

  #gatesChanged(): void {
    const state = this.#state;
    state.command = this.#space.words[Header.COMMAND >>> 2]! & 0xffff;
    state.update();
    this.#decoded = state.decoding ? this.#routers : nothingDecoded;
    this.#direct.update();
    this.#interrupts?.flush();
  }

  #setPower(asleep: boolean, reset: boolean): void {
    if (reset) {
      this.reset('function');
      return;
    }
    this.#state.asleep = asleep;
    this.#gatesChanged();
  }

  /** Calls device code. What it throws, or a promise that it returns, stops the device. */
  #run(code: () => unknown, what: string): void {
    if (this.#state.failure !== undefined) return;
    try {
      refusePromise(code(), what);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Calls device code for a host that can be told. @throws DeviceFailedError when it fails, or has before */
  #demand(code: () => unknown, what: string): void {
    this.#run(code, what);
    const { failure } = this.#state;
    if (failure !== undefined) throw failure;
  }

  #fail(cause: unknown): void {
    const state = this.#state;
    if (state.failure !== undefined) return;
    const failure = new DeviceFailedError(state.name, cause);
    state.failure = failure;
    this.#gatesChanged();
    if (state.started) {
      try {
        refusePromise(this.device.stop(), 'stop');
      } catch {
        // The first failure is the one to report.
      }
    }
    this.#quiesce();
    state.host?.report({ type: 'failed', error: failure });
    state.observer?.failed?.(failure);
  }

  /** Nothing of the device acts any more: no timer, no aperture, no line, no message. */
  #quiesce(): void {
    this.#state.started = false;
    this.#clock.cancelAll();
    this.#memory.revoke();
    this.#gatesChanged();
  }
}
