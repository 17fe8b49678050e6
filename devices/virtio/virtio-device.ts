/**
 * What all virtio devices over PCI do alike (virtio 1.2, 4.1): feature negotiation, the status machine, queues and
 * notifications. A device extends {@link VirtioDevice}, says how many queues it has, and serves requests.
 */
import { doorbells, type MmioRegion, mmio, msix, PciDevice } from 'hdvkit';
import { checkStateVersion } from '../state-version.ts';
import { virtioCapabilities } from './capabilities.ts';
import { type DescriptorChain, VirtqueueError } from './descriptor-chain.ts';
import {
  BAR_SIZE,
  COMMON,
  DeviceStatus,
  Feature,
  ISR,
  IsrStatus,
  Layout,
  NO_VECTOR,
  NOTIFY_STRIDE,
} from './registers.ts';
import { SplitQueue, type SplitQueueState } from './split-queue.ts';

/** What a device is built of. */
export interface VirtioOptions {
  /** Greatest size of each queue; powers of two. */
  readonly queueSizes: readonly number[];
  /** Numbers of the device type's own feature bits, below 24 or from 50 on. */
  readonly features?: readonly number[];
  /** The device-specific configuration structure, where the type has one. */
  readonly configuration?: MmioRegion;
}

/** Version of what `save` gives. */
const STATE_VERSION = 1;

interface VirtioState {
  readonly version: typeof STATE_VERSION;
  readonly driverFeatures: readonly number[];
  readonly queues: readonly SplitQueueState[];
}

/** A modern virtio device over PCI, with one MSI-X vector for changes of configuration and one per queue. */
export abstract class VirtioDevice extends PciDevice {
  override readonly interrupts;
  override readonly capabilities;
  override readonly bars;

  readonly common = COMMON.bind({
    DEVICE_FEATURE_SELECT: { write: () => this.#showFeatures() },
    DRIVER_FEATURE_SELECT: { write: () => this.#showFeatures() },
    DRIVER_FEATURE: { write: (bits) => this.#acceptFeatures(bits) },
    MSIX_CONFIG: { store: (vector) => this.#checkVector(vector) },
    DEVICE_STATUS: {
      store: (status) => this.#nextStatus(status),
      write: (status) => this.#enterStatus(status),
    },
    QUEUE_SELECT: { write: () => this.#showQueue() },
    QUEUE_SIZE: { write: (size) => this.#setQueue((queue) => this.#resize(queue, size)) },
    QUEUE_MSIX_VECTOR: {
      write: (vector) =>
        this.#setQueue((queue) => {
          queue.vector = this.#checkVector(vector);
        }, 'enabled too'),
    },
    QUEUE_ENABLE: { write: (value) => this.#enable(value) },
    QUEUE_DESC_LOW: { write: () => this.#setAddresses() },
    QUEUE_DESC_HIGH: { write: () => this.#setAddresses() },
    QUEUE_DRIVER_LOW: { write: () => this.#setAddresses() },
    QUEUE_DRIVER_HIGH: { write: () => this.#setAddresses() },
    QUEUE_DEVICE_LOW: { write: () => this.#setAddresses() },
    QUEUE_DEVICE_HIGH: { write: () => this.#setAddresses() },
  });
  readonly isr = ISR.bind({});

  readonly #queues: readonly SplitQueue[];
  /** What is offered, as two 32-bit words. */
  readonly #features: readonly number[];
  #driverFeatures: [number, number] = [0, 0];
  /** DEVICE_STATUS as it was before the write that is being handled: what may follow depends on it. */
  #status = 0;

  constructor({ queueSizes, features = [], configuration }: VirtioOptions) {
    super();
    this.#queues = queueSizes.map((size, index) => new SplitQueue(index, size));
    this.#features = featureWords([...features, Feature.INDIRECT_DESC, Feature.VERSION_1]);
    this.interrupts = msix(1 + queueSizes.length);
    this.capabilities = virtioCapabilities(queueSizes.length);
    this.bars = {
      0: mmio(BAR_SIZE, {
        [Layout.COMMON]: this.common,
        [Layout.ISR]: this.isr,
        ...(configuration === undefined ? {} : { [Layout.DEVICE]: configuration }),
        [Layout.NOTIFY]: doorbells({
          count: queueSizes.length,
          stride: NOTIFY_STRIDE,
          valueless: true,
          ring: (index) => this.#serve(index),
        }),
      }),
    };
    this.#show();
  }

  /**
   * Handles one request.
   * @param chain valid during the call
   * @returns how many bytes were written to the guest's buffers
   * @throws VirtqueueError when the request breaks a rule after which the device cannot go on
   */
  protected abstract serve(queue: number, chain: DescriptorChain): number;

  override reset(): void {
    this.#resetTransport();
  }

  override save(): VirtioState {
    return {
      version: STATE_VERSION,
      driverFeatures: [...this.#driverFeatures],
      queues: this.#queues.map((queue) => queue.save()),
    };
  }

  override restore(state: unknown): void {
    checkStateVersion(this.constructor.name, state, STATE_VERSION);
    const { driverFeatures, queues } = state as VirtioState;
    this.#driverFeatures = [driverFeatures[0] ?? 0, driverFeatures[1] ?? 0];
    this.#status = this.common.DEVICE_STATUS;
    for (const [index, queue] of this.#queues.entries()) queue.restore(queues[index]!);
  }

  // Features (2.2, 3.1.1)

  #showFeatures(): void {
    const { DEVICE_FEATURE_SELECT, DRIVER_FEATURE_SELECT } = this.common;
    this.common.DEVICE_FEATURE = this.#features[DEVICE_FEATURE_SELECT] ?? 0;
    this.common.DRIVER_FEATURE = this.#driverFeatures[DRIVER_FEATURE_SELECT] ?? 0;
  }

  #acceptFeatures(bits: number): void {
    const word = this.common.DRIVER_FEATURE_SELECT;
    const isSettled = (this.#status & DeviceStatus.FEATURES_OK) !== 0;
    if (isSettled) this.guestError('features change after FEATURES_OK');
    else if (word < this.#driverFeatures.length) this.#driverFeatures[word] = bits;
    this.#showFeatures();
  }

  get #areFeaturesSound(): boolean {
    const hasVersion1 = ((this.#driverFeatures[1] ?? 0) & (1 << (Feature.VERSION_1 - 32))) !== 0;
    return (
      hasVersion1 && this.#driverFeatures.every((bits, i) => (bits & ~this.#features[i]!) === 0)
    );
  }

  // Status (2.1, 3.1)

  /** What is kept of a status that the driver writes: bits are only ever added, and only in order. */
  #nextStatus(written: number): number {
    if (written === 0) return 0;
    const current = this.#status;
    const { DEVICE_NEEDS_RESET, DRIVER_OK, FEATURES_OK } = DeviceStatus;
    const lost = current & ~written & ~DEVICE_NEEDS_RESET;
    if (lost !== 0)
      this.guestError(`status bits 0x${lost.toString(16)} are cleared without a reset`);
    let next = (written & ~DEVICE_NEEDS_RESET) | current;
    if (!(current & FEATURES_OK) && !this.#areFeaturesSound) next &= ~FEATURES_OK;
    if (!(next & FEATURES_OK)) next &= ~DRIVER_OK;
    return next;
  }

  #enterStatus(written: number): void {
    if (written === 0) {
      this.#resetTransport();
      return;
    }
    this.#status = this.common.DEVICE_STATUS;
    for (const queue of this.#queues) this.#serve(queue.index);
  }

  #resetTransport(): void {
    this.#status = 0;
    this.common.reset();
    this.isr.reset();
    this.#driverFeatures = [0, 0];
    for (const queue of this.#queues) queue.reset();
    this.#show();
  }

  #show(): void {
    this.common.NUM_QUEUES = this.#queues.length;
    this.#showFeatures();
    this.#showQueue();
  }

  /** The driver must reset the device; until then no queue is served (2.1.2). */
  #fail(error: VirtqueueError): void {
    this.guestError(error.message);
    this.#status |= DeviceStatus.DEVICE_NEEDS_RESET;
    this.common.DEVICE_STATUS = this.#status;
    this.isr.ISR_STATUS |= IsrStatus.CONFIGURATION;
    this.#raise(this.common.MSIX_CONFIG);
  }

  // Queues (4.1.4.3, 4.1.5.1)

  get #selected(): SplitQueue | undefined {
    return this.#queues[this.common.QUEUE_SELECT];
  }

  /** Lets the queue registers show the selected queue; zeros where there is none. */
  #showQueue(): void {
    const queue = this.#selected;
    this.common.QUEUE_SIZE = queue?.size ?? 0;
    this.common.QUEUE_MSIX_VECTOR = queue?.vector ?? NO_VECTOR;
    this.common.QUEUE_ENABLE = queue?.isEnabled ? 1 : 0;
    this.common.QUEUE_NOTIFY_OFF = queue?.index ?? 0;
    this.#showAddress('QUEUE_DESC', queue?.descriptors ?? 0);
    this.#showAddress('QUEUE_DRIVER', queue?.available ?? 0);
    this.#showAddress('QUEUE_DEVICE', queue?.used ?? 0);
  }

  #showAddress(name: 'QUEUE_DESC' | 'QUEUE_DRIVER' | 'QUEUE_DEVICE', gpa: number): void {
    this.common[`${name}_LOW`] = gpa % 2 ** 32;
    this.common[`${name}_HIGH`] = Math.floor(gpa / 2 ** 32);
  }

  #setQueue(set: (queue: SplitQueue) => void, when?: 'enabled too'): void {
    const queue = this.#selected;
    if (queue === undefined) this.guestError(`there is no queue ${this.common.QUEUE_SELECT}`);
    else if (queue.isEnabled && when === undefined) this.guestError('an enabled queue is changed');
    else set(queue);
    this.#showQueue();
  }

  #setAddresses(): void {
    const { common } = this;
    this.#setQueue((queue) => {
      queue.descriptors = common.QUEUE_DESC_HIGH * 2 ** 32 + common.QUEUE_DESC_LOW;
      queue.available = common.QUEUE_DRIVER_HIGH * 2 ** 32 + common.QUEUE_DRIVER_LOW;
      queue.used = common.QUEUE_DEVICE_HIGH * 2 ** 32 + common.QUEUE_DEVICE_LOW;
    });
  }

  #resize(queue: SplitQueue, size: number): void {
    if (queue.accepts(size)) queue.size = size;
    else this.guestError(`queue ${queue.index} cannot have a size of ${size}`);
  }

  #enable(value: number): void {
    if (value !== 1) this.guestError(`${value} is written to QUEUE_ENABLE`);
    this.#setQueue((queue) => {
      queue.isEnabled = value === 1;
    });
  }

  #checkVector(vector: number): number {
    return vector <= this.#queues.length ? vector : NO_VECTOR;
  }

  #serve(index: number): void {
    const queue = this.#queues[index];
    const status = this.#status;
    const { DRIVER_OK, DEVICE_NEEDS_RESET } = DeviceStatus;
    if ((status & (DRIVER_OK | DEVICE_NEEDS_RESET)) !== DRIVER_OK || !queue?.isEnabled) return;
    try {
      if (!queue.drain(this.memory, (chain) => this.serve(index, chain))) return;
    } catch (error) {
      if (!(error instanceof VirtqueueError)) throw error;
      this.#fail(error);
      return;
    }
    this.isr.ISR_STATUS |= IsrStatus.QUEUE;
    this.#raise(queue.vector);
  }

  #raise(vector: number): void {
    if (vector !== NO_VECTOR) this.interrupts.raise(vector);
  }
}

function featureWords(bits: readonly number[]): readonly number[] {
  const words = [0, 0];
  for (const bit of bits) words[bit >> 5] = (words[bit >> 5]! | (1 << (bit & 31))) >>> 0;
  return words;
}
