import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { watchReadable } from '../../src/ffi/readable-watch.ts';
import { QEMU_CAPABILITIES, VfioUserClient } from '../../src/vfio-user/client.ts';
import { encodeRegionAccess } from '../../src/vfio-user/payload.ts';
import { Command, PayloadSize } from '../../src/vfio-user/wire.ts';

/** A client that leaves this thread free while it waits, so that what supervises devices can run. */
export class ServedClient {
  readonly client: VfioUserClient;

  private constructor(client: VfioUserClient) {
    this.client = client;
  }

  static async connect(path: string): Promise<ServedClient> {
    const served = new ServedClient(VfioUserClient.connect(path));
    served.client.send(Command.VERSION, Buffer.from(`\0\0\0\0${QEMU_CAPABILITIES}\0`));
    await served.#reply();
    return served;
  }

  /** Sends a command and waits for its answer. @returns the payload */
  request(command: number, payload: Uint8Array, fds: readonly number[] = []): Promise<Buffer> {
    this.client.send(command, payload, { fds });
    return this.#reply();
  }

  async read(region: number, offset: number): Promise<number> {
    this.client.send(Command.REGION_READ, encodeRegionAccess({ region, offset, count: 4 }));
    const reply = await this.#reply();
    return reply.readUInt32LE(PayloadSize.REGION_ACCESS);
  }

  async write(region: number, offset: number, value: number): Promise<void> {
    const data = Buffer.alloc(4);
    data.writeUInt32LE(value);
    const request = encodeRegionAccess({ region, offset, count: 4 }, data);
    this.client.send(Command.REGION_WRITE, request);
    await this.#reply();
  }

  close(): void {
    this.client.close();
  }

  async #reply(): Promise<Buffer> {
    await new Promise<void>((resolve) => {
      const watch = watchReadable(this.client.fd, () => {
        watch.close();
        resolve();
      });
    });
    const message = this.client.receive();
    if (message === undefined) throw new Error('the server is gone');
    if (message.error !== 0) throw new Error(`errno ${message.error}`);
    return message.payload;
  }
}

/**
 * Waits until this process holds no more of anything than it did before. What goes a moment after its device may have been
 * there before as well, so there may be less.
 */
export async function expectNoMore<T extends Readonly<Record<string, number>>>(
  before: T,
  held: () => T,
): Promise<void> {
  const more = (): unknown =>
    Object.entries(held()).filter(([what, count]) => count > before[what]!);
  await expect.poll(more).toEqual([]);
}

/** What this process holds that a connection can leave behind. */
export function heldResources(): { readonly fds: number; readonly guestMappings: number } {
  const maps = readFileSync('/proc/self/maps', 'utf8');
  return {
    fds: readdirSync('/proc/self/fd').length,
    guestMappings: maps.split('\n').filter((line) => line.includes('memfd:hdvkit-test')).length,
  };
}
