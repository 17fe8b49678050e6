import { deserialize, serialize } from 'node:v8';
import type { EngineDevice } from '../../compute/engine.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import { SavedStateError } from '../saved-state-head.ts';
import type { FunctionConnection } from './function-connection.ts';
import type { SavedInterrupts } from './interrupts.ts';
import type { SimulatedMachine } from './machine.ts';
import type { Slot } from './root-complex.ts';

/** A device in a machine. */
export interface PluggedDevice {
  readonly device: EngineDevice;
  readonly connection: FunctionConnection;
  readonly slot: Slot;
}

/** A device of a machine that was saved. */
export interface SavedDevice {
  readonly instanceId: string;
  /** Device number on the bus. */
  readonly slot: number;
  /** What its function saved, serialized by itself, so that errors can name the device. */
  readonly state: Uint8Array;
}

/** All of a machine that is not RAM. Only ever extended. */
export interface MachineState {
  readonly version: 1;
  /** Machine time in milliseconds. */
  readonly time: number;
  /** What random numbers follow from. */
  readonly random: number;
  /** Messages that have arrived and were not taken. */
  readonly interrupts: SavedInterrupts;
  readonly devices: readonly SavedDevice[];
}

/**
 * The state of a paused machine, without its RAM.
 * @throws HcsError ERROR_NOT_SUPPORTED naming what cannot be saved, and why
 */
export async function captureState(
  machine: SimulatedMachine,
  plugged: readonly PluggedDevice[],
): Promise<Buffer> {
  requireStill(machine, plugged);
  const devices: SavedDevice[] = [];
  // Those whose device host has taken them away have left the bus.
  for (const each of plugged.filter(({ slot }) => machine.bus.slots.includes(slot))) {
    devices.push({
      instanceId: each.device.instanceId,
      slot: each.slot.device,
      state: await captureDevice(each),
    });
  }
  const state: MachineState = {
    version: 1,
    time: machine.clock.now,
    random: machine.random.state,
    interrupts: machine.interrupts.save(),
    devices,
  };
  return serialize(state);
}

/** @throws SavedStateError when these bytes are no state, or one of a later version */
export function decodeState(bytes: Uint8Array): MachineState {
  const state = decode(bytes) as Partial<MachineState> | undefined;
  if (state?.version === 1) return state as MachineState;
  throw new SavedStateError('the state of the machine is of another version of this host');
}

/**
 * Gives a device what it saved, before its start.
 * @throws HcsError ERROR_VID_SAVED_STATE_INCOMPATIBLE naming the device when it does not take it
 */
export async function restoreDevice(
  instanceId: string,
  { restore }: FunctionConnection,
  { state }: SavedDevice,
): Promise<void> {
  if (restore === undefined) {
    throw incompatible(`device ${instanceId} has no restore: it was a PciDevice when it was saved`);
  }
  try {
    await restore(decode(state));
  } catch (cause) {
    throw incompatible(
      `device ${instanceId} does not take what was saved: ${causeOf(cause)}; attach the class that was saved`,
      cause,
    );
  }
}

/**
 * The saved devices by instance id in lower case, when they are the very devices that a machine is started with.
 * @throws HcsError ERROR_VID_SAVED_STATE_INCOMPATIBLE naming those that are missing, or too many
 */
export function requireDevices(
  saved: readonly SavedDevice[],
  devices: readonly EngineDevice[],
): ReadonlyMap<string, SavedDevice> {
  const known = new Map(saved.map((device) => [device.instanceId.toLowerCase(), device]));
  const present = new Set(devices.map(({ instanceId }) => instanceId.toLowerCase()));
  const missing = saved.filter(({ instanceId }) => !present.has(instanceId.toLowerCase()));
  const added = devices.filter(({ instanceId }) => !known.has(instanceId.toLowerCase()));
  if (missing.length > 0) {
    throw incompatible(
      `it had the device ${list(missing)}, and the document has not: write its FlexibleIov entry, and attach it before the start`,
    );
  }
  if (added.length > 0) {
    throw incompatible(
      `it had no device ${list(added)}, and the document has: leave it out, and add it after the start`,
    );
  }
  return known;
}

/**
 * @param memory bytes of RAM that were saved
 * @param asked bytes of RAM that the document asks for
 * @throws HcsError ERROR_VID_SAVED_STATE_INCOMPATIBLE when they differ
 */
export function requireMemory(memory: number, asked: number): void {
  if (memory === asked) return;
  const [was, is] = [memory, asked].map((bytes) => bytes / (1024 * 1024));
  throw new HcsError({
    function: 'HcsCreateComputeSystem',
    hresult: HRESULT.ERROR_VID_SAVED_STATE_INCOMPATIBLE,
    message: `Cannot restore the machine: its memory was ${was} MiB, and the document says ${is}; create it from the document that it was saved with`,
  });
}

/** What is code cannot be saved: programs and their timers, and functions that nobody could attach again. */
function requireStill(machine: SimulatedMachine, plugged: readonly PluggedDevice[]): void {
  if (machine.runsProgram) {
    throw refusal(
      'a guest program runs on its virtual processors, which cannot be moved: let it return, or end it by its signal',
    );
  }
  const { pending } = machine.clock;
  if (pending > 0) {
    throw refusal(
      `its guest has set ${pending} timers, which cannot be moved: cancel them, or let them fire`,
    );
  }
  const stranger = machine.bus.slots.find((slot) => !plugged.some((each) => each.slot === slot));
  if (stranger === undefined) return;
  throw refusal(
    `the function in slot ${stranger.device} was plugged past the device hosts, which could not attach it again: attach it by a DeviceHost, or unplug it`,
  );
}

async function captureDevice({ device, connection }: PluggedDevice): Promise<Buffer> {
  const { instanceId } = device;
  if (connection.save === undefined) {
    throw refusal(
      `device ${instanceId} cannot say its state, as its callbacks have no save: make it a PciDevice, or remove it`,
    );
  }
  let state: unknown;
  try {
    state = await connection.save();
  } catch (cause) {
    throw refusal(
      `device ${instanceId} does not say its state: ${causeOf(cause)}; restart it, or remove it`,
      cause,
    );
  }
  try {
    return serialize(state);
  } catch (cause) {
    throw refusal(
      `what device ${instanceId} saved cannot be written: ${causeOf(cause)}; let its save give a plain object of numbers, strings and Buffers`,
      cause,
    );
  }
}

function decode(bytes: Uint8Array): unknown {
  try {
    return deserialize(bytes);
  } catch (error) {
    throw new SavedStateError(`the state of the machine cannot be read: ${causeOf(error)}`);
  }
}

function list(devices: readonly { readonly instanceId: string }[]): string {
  return devices.map(({ instanceId }) => instanceId).join(', ');
}

/** The message of an error, and of what is behind it. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause, message } = error;
  return cause instanceof Error && !message.includes(cause.message)
    ? `${message}: ${cause.message}`
    : message;
}

function refusal(reason: string, cause?: unknown): HcsError {
  return new HcsError({
    function: 'HcsSaveComputeSystem',
    hresult: HRESULT.ERROR_NOT_SUPPORTED,
    message: `Cannot save the machine as ${reason}`,
    cause,
  });
}

function incompatible(reason: string, cause?: unknown): HcsError {
  return new HcsError({
    function: 'HcsStartComputeSystem',
    hresult: HRESULT.ERROR_VID_SAVED_STATE_INCOMPATIBLE,
    message: `Cannot restore the machine: ${reason}`,
    cause,
  });
}
