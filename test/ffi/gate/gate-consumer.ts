/** A worker that serves a gate until it is ended, in one of several manners. */
import { parentPort, workerData } from 'node:worker_threads';
import type { GateHandle } from '../../../src/ffi/gate/gate-memory.ts';
import { GateServer } from '../../../src/ffi/gate/gate-server.ts';
import { windowsSystem } from '../../../src/ffi/windows-system.ts';
import { MemoryDevice } from './memory-device.ts';

/** How the consumer spends the time between requests. */
export type Manner =
  /** Spins as long as that pays, then sleeps. */
  | 'eager'
  /** Never spins. */
  | 'sleeper'
  /** Returns to the event loop after each request, and looks only from there. */
  | 'loop'
  /** Spins, or sleeps at once, or stays away, at random. */
  | 'moody';

export interface ConsumerData {
  readonly handle: GateHandle;
  readonly manner: Manner;
  /** Path of what stands for Windows on other systems. */
  readonly system: string | undefined;
  /** Word 0: 1: go back to the event loop every time, where the log may be asked for. */
  readonly logging: SharedArrayBuffer;
}

const { handle, manner, system: path, logging } = workerData as ConsumerData;
const isAskedForLog = new Int32Array(logging);
const system = windowsSystem(path);
const server = new GateServer(system, handle);
const device = new MemoryDevice();
let random = 12345;
const chance = (share: number): boolean => {
  random = Math.imul(random, 1_103_515_245) + 12_345;
  return (random >>> 8) % 1000 < share * 1000;
};

function serveAll(): void {
  while (server.next()) {
    device.serve(server);
    if (manner === 'moody' && chance(0.02)) break;
  }
  for (let bell = server.nextDoorbell(); bell >= 0; bell = server.nextDoorbell()) {
    parentPort!.postMessage({ bell, rings: server.ringsOf(bell) });
  }
}

function sleep(): void {
  if (server.prepareToSleep()) system.WaitForSingleObject(server.wakeEvent, LONGEST_WAIT_MS);
  server.wakeUp();
}

/** Longer than any test: whoever is not woken is noticed. */
const LONGEST_WAIT_MS = 100_000;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

parentPort!.on('message', () => parentPort!.postMessage({ log: device.log }));
parentPort!.postMessage('ready');
for (;;) {
  serveAll();
  if (manner === 'loop') await turn();
  else if (manner === 'eager') server.spin() || sleep();
  else if (manner === 'sleeper' || chance(0.5)) sleep();
  else if (chance(0.1)) await turn();
  if (Atomics.load(isAskedForLog, 0) !== 0) await turn();
}
