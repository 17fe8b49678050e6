import { QEMU_CAPABILITIES } from '../../src/vfio-user/client.ts';
import {
  encodeDmaMap,
  encodeDmaUnmap,
  encodeRegionAccess,
  encodeSetIrqs,
} from '../../src/vfio-user/payload.ts';

/** Numbers that look random and repeat for a seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 0 to `below` - 1. */
  int(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let value = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  chance(oneIn: number): boolean {
    return this.int(oneIn) === 0;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.int(values.length)]!;
  }

  /** A number of which the edges of ranges come often. */
  u32(): number {
    return this.pick([
      0,
      1,
      3,
      4,
      16,
      4096,
      0x7fff_ffff,
      0xffff_fffc,
      0xffff_ffff,
      this.int(2 ** 32),
    ]);
  }
}

/** A message to be sent: bytes, and how many descriptors go with it. */
export interface FuzzMessage {
  readonly bytes: Buffer;
  readonly fds: number;
  /** The kind of descriptor that makes sense with it. */
  readonly fdKind: 'eventfd' | 'memory' | 'any';
}

/** Makes messages that are valid most of the time, and mutates some of them. */
export class MessageGenerator {
  readonly #random: Random;
  #windows: { readonly address: number; readonly size: number }[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  next(): FuzzMessage {
    const random = this.#random;
    const [command, payload, fds, fdKind] = this.#valid();
    let bytes = Buffer.alloc(16 + payload.length);
    bytes.writeUInt16LE(random.int(0x1_0000), 0);
    bytes.writeUInt16LE(command, 2);
    bytes.writeUInt32LE(bytes.length, 4);
    bytes.writeUInt32LE(random.chance(6) ? 0x10 : 0, 8);
    Buffer.from(payload).copy(bytes, 16);
    if (random.chance(4)) bytes = this.#mutate(bytes);
    const count = random.chance(12) ? random.int(20) : fds;
    return { bytes, fds: count, fdKind: random.chance(12) ? 'any' : fdKind };
  }

  #valid(): [number, Uint8Array, number, FuzzMessage['fdKind']] {
    const random = this.#random;
    switch (random.int(16)) {
      case 0:
        return [2, this.#map(), random.chance(4) ? 0 : 1, 'memory'];
      case 1:
        return [3, this.#unmap(), 0, 'any'];
      case 2:
        return [4, words(16, 0, 0, 0), 0, 'any'];
      case 3:
        return [5, words(random.pick([32, 64, 4096]), 0, random.int(10), 0, 0, 0, 0, 0), 0, 'any'];
      case 4:
        return [6, words(16, 0, random.int(10), random.int(4)), 0, 'any'];
      case 5:
        return [7, words(16, 0, random.int(6), 0), 0, 'any'];
      case 6:
      case 7:
        return this.#setIrqs();
      case 8:
        return [13, Buffer.alloc(0), 0, 'any'];
      case 9:
        return [15, this.#writeMulti(), 0, 'any'];
      case 10:
        return [
          16,
          words(8 + random.int(16), random.int(10) | (1 << (16 + random.int(3)))),
          0,
          'any',
        ];
      case 11:
        return [random.pick([0, 1, 11, 12, 14, 17, 18, 19, 99, 65535]), this.#version(), 0, 'any'];
      case 12:
      case 13:
        return [9, encodeRegionAccess(this.#access()), 0, 'any'];
      default: {
        const access = this.#access();
        const data = Buffer.alloc(Math.min(access.count, 64), random.int(256));
        return [10, encodeRegionAccess(access, data), 0, 'any'];
      }
    }
  }

  #access(): { offset: number; region: number; count: number } {
    const random = this.#random;
    const region = random.pick([0, 0, 2, 7, random.int(12)]);
    const count = random.pick([1, 2, 4, 4, 8, 3, 0, random.int(64)]);
    return { offset: random.chance(8) ? random.u32() : random.int(64), region, count };
  }

  #map(): Uint8Array {
    const random = this.#random;
    const window = { address: random.int(64) * 4096, size: (1 + random.int(8)) * 4096 };
    if (this.#windows.length > 40) this.#windows = [];
    this.#windows.push(window);
    const offset = random.chance(6) ? random.u32() : random.int(16) * 4096;
    return encodeDmaMap({ argsz: 32, flags: random.pick([1, 3, 3, 3, 0, 4]), offset, ...window });
  }

  #unmap(): Uint8Array {
    const random = this.#random;
    if (random.chance(20)) return encodeDmaUnmap({ argsz: 24, flags: 2, address: 0, size: 0 });
    const window = this.#windows.splice(random.int(this.#windows.length), 1)[0];
    const { address, size } = window ?? { address: random.u32(), size: random.u32() };
    return encodeDmaUnmap({
      argsz: 24,
      flags: random.chance(10) ? random.int(4) : 0,
      address,
      size,
    });
  }

  #setIrqs(): [number, Uint8Array, number, FuzzMessage['fdKind']] {
    const random = this.#random;
    const index = random.pick([0, 1, 2, 2, 2, 3, 4, 5]);
    const count = random.pick([0, 1, 1, 2, 4, 16, random.u32()]);
    const start = random.chance(3) ? random.int(16) : 0;
    const data = random.pick([1, 2, 4, 4, random.int(8)]);
    const flags = data | random.pick([8, 0x10, 0x20, 0x20, 0x20, random.int(64)]);
    const bools = Buffer.alloc(data === 2 ? Math.min(count, 32) : 0, random.int(2));
    const payload = encodeSetIrqs({ argsz: 20 + bools.length, flags, index, start, count }, bools);
    const fds = data === 4 && !random.chance(4) ? Math.min(count, 18) : 0;
    return [8, payload, fds, 'eventfd'];
  }

  #writeMulti(): Uint8Array {
    const random = this.#random;
    const entries = Array.from({ length: random.int(12) }, () =>
      Buffer.concat([
        encodeRegionAccess({ ...this.#access(), count: random.pick([1, 2, 4, 8, 9]) }),
        words(random.u32(), random.u32()),
      ]),
    );
    const stated = random.chance(8) ? random.u32() : entries.length;
    return Buffer.concat([words(stated, 0), ...entries]);
  }

  #version(): Uint8Array {
    return Buffer.from(`\0\0\0\0${QEMU_CAPABILITIES}\0`);
  }

  #mutate(bytes: Buffer): Buffer<ArrayBuffer> {
    const random = this.#random;
    switch (random.int(7)) {
      case 0: {
        const copy = Buffer.from(bytes);
        for (let i = 1 + random.int(4); i > 0; i--)
          copy[random.int(copy.length)]! ^= 1 << random.int(8);
        // A wrong size beyond a little swallows what follows: that has its own case below.
        if (copy.readUInt32LE(4) > 8192) copy.writeUInt32LE(bytes.length, 4);
        return copy;
      }
      case 1: {
        const copy = Buffer.from(bytes.subarray(0, random.int(bytes.length + 1)));
        if (copy.length >= 8) copy.writeUInt32LE(copy.length, 4);
        return copy;
      }
      case 2: {
        const copy = Buffer.concat([bytes, Buffer.alloc(random.int(4096), random.int(256))]);
        copy.writeUInt32LE(copy.length, 4);
        return copy;
      }
      case 3: {
        const copy = Buffer.from(bytes);
        copy.writeUInt32LE(random.pick([0, 1, 15, 16, 17, bytes.length + 1, 4096]), 4);
        return copy;
      }
      case 4: {
        const copy = Buffer.from(bytes);
        copy.writeUInt32LE(random.chance(4) ? random.u32() : random.int(64), 8);
        return copy;
      }
      case 5: {
        const copy = Buffer.from(bytes);
        for (let i = 16; i + 4 <= copy.length; i += 4)
          if (random.chance(3)) copy.writeUInt32LE(random.u32(), i);
        return copy;
      }
      default: {
        const copy = Buffer.from(bytes);
        if (random.chance(40))
          copy.writeUInt32LE(random.pick([0xffff_ffff, 0x0020_0000, 65536, 1 << 20]), 4);
        else copy.writeUInt16LE(random.int(24), 2);
        return copy;
      }
    }
  }
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, i * 4);
  return bytes;
}
