/** Enables MSI-X of a device whose process takes its time for each vector, and prints how far that came. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GuestRam } from '../../src/engines/simulated/guest-ram.ts';
import { MachineSignals } from '../../src/engines/simulated/machine-signals.ts';
import { createWaitGroup } from '../../src/ffi/wait-group.ts';
import { EventInterrupts } from '../../src/hosts/simulated/event-interrupts.ts';
import { ProcessFunction } from '../../src/hosts/simulated/process-function.ts';
import { Operation } from '../../src/transport/slot/slot-layout.ts';
import { Region } from '../../src/vfio-user/device.ts';
import { Command, HEADER_SIZE, HeaderFlag, PayloadSize } from '../../src/vfio-user/wire.ts';

const VECTORS = 64;
const CAPABILITY = 0x40;
const MSIX = 0x11;
const LIMIT_MS = 2000;
/** Of one answer: well within the limit, but not of all of them. */
const SLOW_MS = 400;

/** A device that has MSI-X, and is slow where it is given eventfds. */
function serve(path: string): void {
  const config = Buffer.alloc(256);
  config.writeUInt16LE(0x10, 0x06);
  config.writeUInt8(CAPABILITY, 0x34);
  config.writeUInt16LE(MSIX, CAPABILITY);
  config.writeUInt16LE(VECTORS - 1, CAPABILITY + 2);
  let enabled = 0;
  const server = createServer((socket) => {
    let bytes = Buffer.alloc(0);
    const answer = (message: Buffer): void => {
      const command = message.readUInt16LE(2);
      const payload = message.subarray(HEADER_SIZE);
      let reply: Buffer = Buffer.from(payload);
      if (command === Command.DEVICE_GET_REGION_INFO) {
        reply = Buffer.alloc(PayloadSize.REGION_INFO);
        const isBar = payload.readUInt32LE(8) === 0;
        const isConfig = payload.readUInt32LE(8) === Region.CONFIG;
        reply.writeUInt32LE(isConfig ? config.length : isBar ? 4096 : 0, 16);
      } else if (command === Command.DEVICE_GET_IRQ_INFO) {
        reply.writeUInt32LE(VECTORS, 12);
      } else if (command === Command.REGION_READ) {
        const offset = payload.readUInt32LE(0);
        const data = config.subarray(offset, offset + payload.readUInt32LE(12));
        reply = Buffer.concat([payload.subarray(0, PayloadSize.REGION_ACCESS), data]);
      } else if (command === Command.REGION_WRITE) {
        payload.copy(config, payload.readUInt32LE(0), PayloadSize.REGION_ACCESS);
        reply = Buffer.from(payload.subarray(0, PayloadSize.REGION_ACCESS));
      }
      const header = Buffer.from(message.subarray(0, HEADER_SIZE));
      header.writeUInt32LE(HEADER_SIZE + reply.length, 4);
      header.writeUInt32LE(HeaderFlag.REPLY, 8);
      const isSlow = command === Command.DEVICE_SET_IRQS;
      if (isSlow) process.send?.(++enabled);
      setTimeout(() => socket.write(Buffer.concat([header, reply])), isSlow ? SLOW_MS : 0);
    };
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= HEADER_SIZE && bytes.length >= bytes.readUInt32LE(4)) {
        const size = bytes.readUInt32LE(4);
        answer(bytes.subarray(0, size));
        bytes = bytes.subarray(size);
      }
    });
  });
  server.listen(path, () => process.send?.(0));
}

async function ask(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'process-device-'));
  const socketPath = join(folder, 'device');
  const child = fork(fileURLToPath(import.meta.url), [socketPath]);
  let enabled = 0;
  child.on('message', (count) => {
    enabled = Number(count);
  });
  await once(child, 'message');
  const fn = ProcessFunction.connect({
    socketPath,
    limitMs: LIMIT_MS,
    ram: new GuestRam(1 << 20, [], true),
    signals: new MachineSignals(),
    line: 0,
    events: new EventInterrupts(),
    group: createWaitGroup(),
  });
  for (let vector = 0; vector < VECTORS; vector++) {
    fn.access(Operation.WRITE, 0, 0, vector * 16 + 12, 4, 0);
  }
  const control = 0x8000_0000 + ((VECTORS - 1) << 16) + MSIX;
  fn.access(Operation.WRITE_CONFIG, 0, 0, CAPABILITY, 4, control);
  // What the child has said of it so far is read by then.
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
  console.log(JSON.stringify({ gone: fn.gone ?? 'not gone', vectors: VECTORS, enabled }));
  rmSync(folder, { recursive: true, force: true });
}

const [, , path] = process.argv;
if (path === undefined) await ask();
else serve(path);
