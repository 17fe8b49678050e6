import type { Attachment } from '../../src/index.ts';
import { ComputeSystem, DeviceHost } from '../../src/index.ts';
import { type Callback, hostileModule, type Manner } from './hostile-device.ts';
import type { HammerResult, StandInGuest } from './stand-in-guest.ts';
import type { WindowsTestHost } from './windows-test-host.ts';

/** Native threads that call the device. */
export const THREADS = 4;
/** Of each thread. */
export const ACCESSES = 400;
const ENDLESS = 0xffff_ffff;
/** First and last byte of BAR 0 that is memory, past the registers. */
const RAM = { offset: 0x1000, length: 0x1000 };

/** Calls that come while a device is brought up or in use; the first two of config space are the guest's enumeration. */
const CALL: Readonly<Record<Callback, number>> = {
  initialize: 1,
  setConfiguration: 1,
  getDetails: 2,
  start: 1,
  readConfigSpace: 20,
  writeConfigSpace: 5,
  readInterceptedMemory: 30,
  writeInterceptedMemory: 30,
  stop: 1,
  teardown: 1,
};

/** What became of a machine whose device went wrong. */
export interface HostileOutcome {
  /** What the attach was rejected with. */
  readonly refusal: unknown;
  readonly attachment: Attachment | undefined;
  /** What was reported as failed, in order. */
  readonly failures: readonly Error[];
  readonly hammered: HammerResult | undefined;
  readonly systemId: string;
  readonly instanceId: string;
  /** HRESULTs of the ten callbacks when they were called after the teardown; 0 for the two that have none. */
  readonly late: readonly number[];
}

/** One machine, one device that goes wrong in one callback, four native threads that use it, and the end of all. */
export async function runHostile(
  host: WindowsTestHost,
  systemId: string,
  instanceId: string,
  { callback, manner }: { readonly callback: Callback; readonly manner: Manner },
): Promise<HostileOutcome> {
  const failures: Error[] = [];
  const system = await ComputeSystem.create(systemId, host.document(), {
    core: host.binding.computeCore,
  });
  const devices = await DeviceHost.create(system, {
    binding: host.binding.hdv,
    report: (notice) => {
      if (notice.type === 'failed') failures.push(notice.error);
    },
  });
  let attachment: Attachment | undefined;
  let refusal: unknown;
  let hammered: HammerResult | undefined;
  const guest = await host.guestOf(system);
  try {
    await system.start();
    attachment = await devices
      .attach(hostileModule(callback, manner, CALL[callback]), {
        export: 'HostileDevice',
        instanceId,
      })
      .catch((error: unknown) => {
        refusal = error;
        return undefined;
      });
    if (attachment !== undefined) {
      const isEnd = callback === 'stop' || callback === 'teardown';
      hammered = isEnd ? await hammerToTheEnd(guest, system) : await hammer(guest, ACCESSES);
    }
  } finally {
    await devices[Symbol.asyncDispose]();
    await system[Symbol.asyncDispose]();
  }
  const late = await guest.lateCalls(instanceId, THREADS);
  return { refusal, attachment, failures, hammered, systemId, instanceId, late };
}

/** Stop and Teardown come with the end of the machine, in the midst of accesses. */
async function hammerToTheEnd(guest: StandInGuest, system: ComputeSystem): Promise<HammerResult> {
  let isOver = false;
  const hammering = hammer(guest, ENDLESS).finally(() => {
    isOver = true;
  });
  while (guest.threadsInside() === 0 && !isOver) await new Promise(setImmediate);
  await system.terminate();
  return hammering;
}

async function hammer(guest: StandInGuest, accesses: number): Promise<HammerResult> {
  const [fn] = await guest.slots();
  if (fn === undefined) throw new Error('The guest has no function');
  return guest.hammer(fn, 0, { ...RAM, threads: THREADS, accesses, seed: 1 });
}
