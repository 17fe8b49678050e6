/**
 * The virtio entropy device: gives the guest random bytes, from this process's generator. Stock driver: virtio-rng,
 * whose bytes arrive at /dev/hwrng. Everything that is not entropy is in ../virtio.
 */
import { randomFillSync } from 'node:crypto';
import { virtioIdentity } from '../virtio/capabilities.ts';
import { type DescriptorChain, VirtqueueError } from '../virtio/descriptor-chain.ts';
import { VirtioDevice } from '../virtio/virtio-device.ts';
import { CLASS_CODE, ENTROPY_DEVICE, MAX_REQUEST, QUEUE_SIZE } from './registers.ts';

/** Fills all of `into` with random bytes. */
export type EntropySource = (into: Uint8Array) => void;

/** Virtio entropy device (virtio 1.2, 5.4). */
export class VirtioRng extends VirtioDevice {
  override readonly identity = virtioIdentity(ENTROPY_DEVICE, CLASS_CODE);
  readonly #source: EntropySource;
  readonly #bytes = Buffer.alloc(MAX_REQUEST);

  /** @param options.source where bytes come from: the generator of node:crypto unless a test says otherwise */
  constructor({
    source = (into) => randomFillSync(into),
  }: { readonly source?: EntropySource } = {}) {
    super({ queueSizes: [QUEUE_SIZE] });
    this.#source = source;
  }

  /** Fills the request's buffers, up to {@link MAX_REQUEST} bytes of them. */
  protected override serve(_queue: number, chain: DescriptorChain): number {
    let written = 0;
    for (let i = 0; i < chain.count && written < MAX_REQUEST; i++) {
      if (!chain.isWritable[i]) {
        this.guestError('a request has a buffer that the device may not write');
        continue;
      }
      const bytes = this.#bytes.subarray(0, Math.min(chain.length[i]!, MAX_REQUEST - written));
      this.#source(bytes);
      if (!this.memory.write(chain.gpa[i]!, bytes)) {
        throw new VirtqueueError(`a buffer at 0x${chain.gpa[i]!.toString(16)} is not memory`);
      }
      written += bytes.length;
    }
    this.#bytes.fill(0);
    return written;
  }
}
