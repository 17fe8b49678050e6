import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeFd, createEventFd } from '../../src/ffi/descriptors.ts';
import { socketPair } from '../../src/ffi/unix-socket.ts';
import { VfioUserClient } from '../../src/vfio-user/client.ts';
import {
  type AccessWidth,
  type DisconnectReason,
  Region,
  type VfioUserDevice,
  type VfioUserPort,
  type VfioUserRegion,
} from '../../src/vfio-user/device.ts';
import { VfioUserServer } from '../../src/vfio-user/server.ts';
import { ServerState } from '../../src/vfio-user/server-state.ts';

/** A device that is plain memory behind BAR 0, BAR 2 and config space, and writes down what happens to it. */
export class MemoryDevice implements VfioUserDevice {
  readonly regions: readonly VfioUserRegion[];
  readonly irqCounts: readonly number[];
  readonly bytes: readonly Buffer[];
  readonly log: string[] = [];
  ended: DisconnectReason | undefined;
  /** Called within an access. */
  hook: (() => void) | undefined;

  constructor(
    sizes: Readonly<Record<number, number>> = { 0: 4096, 2: 64, [Region.CONFIG]: 256 },
    irqCounts: readonly number[] = [1, 4, 16, 1, 1],
    overrides: Readonly<Record<number, VfioUserRegion>> = {},
  ) {
    this.regions = Array.from(
      { length: Region.COUNT },
      (_, index) => overrides[index] ?? { size: sizes[index] ?? 0 },
    );
    this.irqCounts = irqCounts;
    this.bytes = this.regions.map(({ size }) => Buffer.alloc(size));
  }

  readRegion(region: number, offset: number, width: AccessWidth): number {
    this.log.push(`read ${region} ${offset} ${width}`);
    this.hook?.();
    return this.bytes[region]!.readUIntLE(offset, width);
  }

  writeRegion(region: number, offset: number, width: AccessWidth, value: number): void {
    this.log.push(`write ${region} ${offset} ${width} ${value}`);
    this.hook?.();
    this.bytes[region]!.writeUIntLE(value, offset, width);
  }

  vectorChanged(irq: number, vector: number, assigned: boolean): void {
    this.log.push(`vector ${irq} ${vector} ${assigned}`);
  }

  maskChanged(irq: number, vector: number, masked: boolean): void {
    this.log.push(`mask ${irq} ${vector} ${masked}`);
  }

  dmaMapped(gpa: number, length: number): void {
    this.log.push(`mapped ${gpa} ${length}`);
  }

  dmaUnmapped(gpa: number, length: number): void {
    this.log.push(`unmapped ${gpa} ${length}`);
  }

  reset(): void {
    this.log.push('reset');
  }

  disconnected(reason: DisconnectReason): void {
    this.ended = reason;
  }

  /** What happened since the last call. */
  takeLog(): string[] {
    return this.log.splice(0);
  }
}

/** Both ends of a connection in one thread: the server serves whenever the client has sent something. */
export class Pair {
  readonly device: MemoryDevice;
  readonly server: VfioUserServer;
  readonly client: VfioUserClient;
  readonly state = ServerState.create();
  readonly #fds: number[] = [];

  constructor(device = new MemoryDevice(), { negotiate = true } = {}) {
    this.device = device;
    const [mine, theirs] = socketPair();
    this.server = new VfioUserServer({ fd: theirs, state: this.state, device: () => device });
    this.client = new VfioUserClient(mine, { pump: () => this.server.processReadable() });
    if (negotiate) this.client.negotiate();
  }

  get port(): VfioUserPort {
    return this.server;
  }

  /** An eventfd that is closed with the pair. */
  eventFd(): number {
    const fd = createEventFd();
    this.#fds.push(fd);
    return fd;
  }

  /** Closes a descriptor with the pair. */
  keep(fd: number): number {
    this.#fds.push(fd);
    return fd;
  }

  close(): void {
    for (const fd of this.#fds.splice(0)) closeFd(fd);
    this.client.close();
    this.server.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A folder that goes with the test. */
export class TemporaryFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'vu-'));

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
