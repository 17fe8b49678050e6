import { parentPort } from 'node:worker_threads';
import { VfioUserServer } from '../../src/vfio-user/server.ts';
import { ServerState } from '../../src/vfio-user/server-state.ts';
import { MemoryDevice } from './pair.ts';

/*
 * A device that moves guest memory, on a thread of its own: a fresh one for each connection, one after the other. Registers of BAR 0, in words:
 *   0 guest address, 4 length, 8 start: 1 read, 2 write, 3 read within this very access
 *   12 result of the last transfer: 1 done, 2 failed; 16 transfers so far
 * The buffer is behind BAR 2.
 */
async function serve(fd: number, state: ServerState): Promise<void> {
  const device = new MemoryDevice({ 0: 64, 2: 1 << 20, 7: 256 });
  const registers = device.bytes[0]!;
  const buffer = device.bytes[2]!;
  let pending = 0;

  const transfer = (kind: number): void => {
    const gpa = registers.readUInt32LE(0);
    const part = buffer.subarray(0, registers.readUInt32LE(4));
    const done = kind === 2 ? server.memory.write(gpa, part) : server.memory.read(gpa, part);
    registers.writeUInt32LE(done ? 1 : 2, 12);
    registers.writeUInt32LE(registers.readUInt32LE(16) + 1, 16);
  };

  const write = device.writeRegion.bind(device);
  device.writeRegion = (region, offset, width, value) => {
    write(region, offset, width, value);
    if (region !== 0 || offset !== 8) return;
    if (value === 3) transfer(1);
    else pending = value;
  };

  const server = new VfioUserServer({ fd, state, device: () => device });
  await server.serve({
    nextTimeout: () => (pending === 0 ? -1 : 0),
    awake: () => {
      const kind = pending;
      pending = 0;
      if (kind !== 0) transfer(kind);
    },
  });
  parentPort!.postMessage({
    connection: fd,
    ended: device.ended?.type,
    result: registers.readUInt32LE(12),
  });
}

parentPort!.on('message', ({ fd, buffer }: { fd: number; buffer: SharedArrayBuffer }) => {
  void serve(fd, ServerState.of(buffer));
});
