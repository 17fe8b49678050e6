import { beforeEach, describe, expect, test } from 'vitest';
import { HdvError } from '../../../src/hdv/hdv-error.ts';
import { ApertureCache, type ApertureMemory } from '../../../src/hdv/native/aperture-cache.ts';

const PAGE = 4096;

/** Maps nothing: writes down what is asked for, and refuses more mappings than its quota. */
class Mappings implements ApertureMemory {
  readonly log: string[] = [];
  readonly mapped = new Map<number, string>();
  quota = Number.POSITIVE_INFINITY;
  /** Called in each wait. */
  onSleep: () => void = () => {};
  #next = 0x10_0000;

  map(gpa: number, length: number, writeProtected: boolean): number {
    if (this.mapped.size >= this.quota) {
      this.log.push('full');
      throw new HdvError('HdvCreateGuestMemoryAperture', 'ERROR_NOT_ENOUGH_QUOTA', 'too many');
    }
    const what = `${gpa / PAGE}+${length / PAGE}${writeProtected ? ' protected' : ''}`;
    this.log.push(`map ${what}`);
    const address = this.#next;
    this.#next += length;
    this.mapped.set(address, what);
    return address;
  }

  view(_address: number, length: number): ArrayBuffer {
    return new ArrayBuffer(length);
  }

  unmap(address: number, bytes: ArrayBuffer): void {
    this.log.push(`unmap ${this.mapped.get(address)}`);
    expect(this.mapped.delete(address)).toBe(true);
    new Uint8Array(bytes).fill(0xee);
  }

  sleep(ms: number): void {
    this.log.push(`sleep ${ms}`);
    this.onSleep();
  }

  take(): string[] {
    return this.log.splice(0);
  }
}

let memory: Mappings;
let cache: ApertureCache;

beforeEach(() => {
  memory = new Mappings();
  cache = new ApertureCache(memory, 4);
});

const page = (number: number, pages = 1, writeProtected = false): Buffer =>
  cache.open(number * PAGE, pages * PAGE, writeProtected, number * PAGE, pages * PAGE);

describe('a range that is asked for again', () => {
  test('has its mapping back, also while it is in use', () => {
    const first = page(7);
    const second = page(7);
    expect(second.buffer).toBe(first.buffer);
    expect(second).not.toBe(first);
    expect(cache.close(first)).toBe(true);
    expect(cache.close(first)).toBe(false);
    expect(page(7).buffer).toBe(first.buffer);
    expect(memory.take()).toEqual(['map 7+1']);
    expect(cache.count).toBe(1);
  });

  test('is another one when its length or its protection is another', () => {
    for (const [pages, writeProtected] of [
      [1, false],
      [2, false],
      [1, true],
      [2, true],
    ] as const) {
      cache.close(page(7, pages, writeProtected));
    }
    expect(memory.take()).toEqual(['map 7+1', 'map 7+2', 'map 7+1 protected', 'map 7+2 protected']);
    for (const [pages, writeProtected] of [
      [1, true],
      [2, false],
      [1, false],
      [2, true],
    ] as const) {
      cache.close(page(7, pages, writeProtected));
    }
    expect(memory.take()).toEqual([]);
  });

  test('shows the bytes that were asked for', () => {
    const bytes = cache.open(PAGE, 2 * PAGE, false, PAGE + 100, PAGE);
    expect([bytes.length, bytes.byteOffset]).toEqual([PAGE, 100]);
  });
});

describe('mappings that are not used', () => {
  test('go when there are too many, the one unused longest first', () => {
    for (const number of [1, 2, 3, 4]) cache.close(page(number));
    cache.close(page(1));
    memory.take();
    page(5);
    page(6);
    expect(memory.take()).toEqual(['unmap 2+1', 'map 5+1', 'unmap 3+1', 'map 6+1']);
    expect(cache.count).toBe(4);
  });

  test('are none while all are in use: Windows says when it is enough', () => {
    const open = [1, 2, 3, 4, 5, 6].map((number) => page(number));
    expect(cache.count).toBe(6);
    for (const bytes of open) cache.close(bytes);
    expect(memory.take().slice(6)).toEqual(['unmap 1+1', 'unmap 2+1']);
    expect(cache.count).toBe(4);
  });

  test('leave the others that begin at the same address', () => {
    for (const pages of [1, 2, 3]) cache.close(page(9, pages));
    cache.close(page(9, 1));
    page(1);
    page(2);
    memory.take();
    cache.close(page(9, 3));
    cache.close(page(9, 1));
    expect(memory.take()).toEqual([]);
  });
});

describe('a quota that is used up', () => {
  const isFull = expect.objectContaining({ code: 'ERROR_NOT_ENOUGH_QUOTA' });

  test('takes all unused mappings, and no time', () => {
    for (const number of [1, 2]) cache.close(page(number));
    page(3);
    memory.quota = 3;
    memory.take();
    page(4);
    expect(memory.take()).toEqual(['full', 'unmap 1+1', 'unmap 2+1', 'map 4+1']);
  });

  test('is waited for when nothing is left to give', () => {
    page(1);
    memory.quota = 1;
    memory.onSleep = () => {
      if (memory.log.filter((line) => line.startsWith('sleep')).length === 3) memory.quota = 2;
    };
    page(2);
    const waits = ['full', 'sleep 50', 'full', 'sleep 50', 'full', 'sleep 50'];
    expect(memory.take()).toEqual(['map 1+1', ...waits, 'map 2+1']);
  });

  test('fails after a time that is shorter than a device may take', () => {
    page(1);
    memory.quota = 1;
    expect(() => page(2)).toThrow(isFull);
    const waited = memory.take().filter((line) => line === 'sleep 50').length * 50;
    expect(waited).toBeGreaterThan(200);
    expect(waited).toBeLessThan(800);
    expect(cache.count).toBe(1);
  });
});

test('other failures are not tried again', () => {
  memory.map = () => {
    throw new HdvError('HdvCreateGuestMemoryAperture', 'ERROR_INVALID_ADDRESS', 'nothing there');
  };
  expect(() => page(1)).toThrow('nothing there');
  expect(memory.take()).toEqual([]);
  expect(cache.count).toBe(0);
});

test('clearing undoes everything once, and leaves no aperture open', () => {
  const open = page(1);
  page(1);
  cache.close(page(2));
  memory.take();
  cache.clear();
  cache.clear();
  expect(memory.take().sort()).toEqual(['unmap 1+1', 'unmap 2+1']);
  expect(open[0]).toBe(0xee);
  expect(cache.close(open)).toBe(false);
  expect([cache.count, memory.mapped.size]).toEqual([0, 0]);
});

test('after any sequence each mapping exists once, and no more are kept than the limit allows', () => {
  let seed = 12;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fff_ffff;
    return (seed >>> 8) % below;
  };
  let open: Buffer[] = [];
  for (let step = 0; step < 3000; step++) {
    if (open.length < 12 && random(5) < 3)
      open.push(page(random(6), 1 + random(2), random(2) === 0));
    else if (open.length > 0) cache.close(open.splice(random(open.length), 1)[0]!);
    if (random(500) === 0) {
      cache.clear();
      open = [];
    }
    const mapped = [...memory.mapped.values()];
    expect(new Set(mapped).size, `step ${step}`).toBe(mapped.length);
    expect(mapped.length).toBe(cache.count);
    const used = new Set(open.map(({ buffer }) => buffer)).size;
    expect(cache.count).toBeLessThanOrEqual(Math.max(4, used));
  }
});
