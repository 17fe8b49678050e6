/** Tries to plug devices of other processes that cannot be, and prints what failed, and what was left of it. */
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InterruptLine } from '../../src/engines/simulated/interrupts.ts';
import { SimulatedMachine } from '../../src/engines/simulated/machine.ts';
import { connectUnix } from '../../src/ffi/unix-socket.ts';
import { EventInterrupts } from '../../src/hosts/simulated/event-interrupts.ts';
import { ProcessDevice } from '../../src/hosts/simulated/process-device.ts';
import type { ProcessDeviceData } from '../../src/hosts/simulated/process-device-worker.ts';
import { DeviceWorker } from '../../src/transport/device-worker.ts';

const folder = mkdtempSync(join(tmpdir(), 'process-device-'));
const machine = new SimulatedMachine({ memoryInFile: true });
machine.share();
const failures: string[] = [];
let lines = 0;
const { addLine, removeLine } = machine;
machine.addLine = (line: InterruptLine, number?: number) => {
  lines++;
  return addLine.call(machine, line, number);
};
machine.removeLine = (number: number) => {
  lines--;
  removeLine.call(machine, number);
};

const descriptors = (): number => readdirSync('/proc/self/fd').length;

async function attempt(name: string): Promise<void> {
  const socketPath = join(folder, name);
  const failed = await ProcessDevice.connect({ socketPath }, machine).catch((error) => error);
  failures.push(failed instanceof Error ? failed.message : 'connected');
}

/** With so many descriptors left. */
async function attemptWith(left: number): Promise<void> {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    // There are none left.
  }
  for (let i = 0; i < left; i++) closeSync(taken.pop()!);
  await attempt('nobody');
  for (const fd of taken) closeSync(fd);
}

/** Loads what is needed once. */
await attempt('nobody');
// A peer that hangs up at once.
const server = createServer((peer) => peer.destroy());
await new Promise<void>((listening) => void server.listen(join(folder, 'hangs-up'), listening));
const silent = createServer((peer) => peer.resume());
await new Promise<void>((listening) => void silent.listen(join(folder, 'silent'), listening));
const before = descriptors();
await attemptWith(0);
await attemptWith(1);
await attemptWith(2);
await attempt('hangs-up');

/** A worker that has connected, and dies before it is ready. */
DeviceWorker.start = (options) => {
  const { events, socketPath } = options.data as ProcessDeviceData;
  new EventInterrupts(events).setConnection(connectUnix(socketPath));
  return Promise.reject(new Error('The device worker ran out of heap'));
};
await attempt('silent');
// Closed with the server's own end of it.
const peers = new Promise<void>((closed) => void silent.close(() => closed()));
server.close();
await peers;
const left = { descriptors: descriptors() - before + 2, lines };
console.log(JSON.stringify({ failures, left }));
rmSync(folder, { recursive: true, force: true });
