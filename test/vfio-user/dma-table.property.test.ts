import { writeSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closeFd, createMemoryFile, duplicateFd } from '../../src/ffi/descriptors.ts';
import { DmaTable } from '../../src/vfio-user/dma-table.ts';
import { ServerState } from '../../src/vfio-user/server-state.ts';
import { DmaFlag, Errno } from '../../src/vfio-user/wire.ts';

/** Small units make windows meet, overlap and straddle pages often. */
const UNIT = 1024;
const FILE_UNITS = 32;
const GUEST_UNITS = 48;

interface Window {
  readonly gpa: number;
  readonly length: number;
  readonly flags: number;
  readonly file: number;
  readonly offset: number;
}

/** Guest memory as anyone would write it down: a list of windows over plain arrays. */
class Model {
  readonly files = [0, 1].map((file) => Buffer.alloc(FILE_UNITS * UNIT, 0x10 * (file + 1)));
  windows: Window[] = [];

  map(window: Window): number {
    const overlaps = this.windows.some(
      (known) => known.gpa < window.gpa + window.length && window.gpa < known.gpa + known.length,
    );
    if (window.length === 0) return Errno.EINVAL;
    if (overlaps) return Errno.EEXIST;
    if (window.offset + window.length > FILE_UNITS * UNIT) return Errno.EINVAL;
    this.windows.push(window);
    return 0;
  }

  unmap(gpa: number, length: number): number {
    const index = this.windows.findIndex((known) => known.gpa === gpa && known.length === length);
    if (index < 0) return Errno.ENOENT;
    this.windows.splice(index, 1);
    return 0;
  }

  /** Where a guest byte lies, if it may be accessed so. */
  locate(gpa: number, access: number): { readonly file: Buffer; readonly at: number } | undefined {
    const window = this.windows.find((known) => gpa >= known.gpa && gpa < known.gpa + known.length);
    if (window === undefined || (window.flags & access) !== access) return undefined;
    return { file: this.files[window.file]!, at: window.offset + gpa - window.gpa };
  }

  bytes(gpa: number, length: number, access: number): ReturnType<Model['locate']>[] {
    return Array.from({ length }, (_, i) => this.locate(gpa + i, access));
  }
}

const units = (most: number) => fc.integer({ min: 0, max: most }).map((n) => n * UNIT);
const position = fc.oneof(units(GUEST_UNITS), fc.integer({ min: 0, max: GUEST_UNITS * UNIT }));
const length = fc.oneof(units(8), fc.integer({ min: 0, max: 3000 }));

type Step =
  | { readonly do: 'map'; readonly window: Window }
  | { readonly do: 'unmap'; readonly pick: number; readonly gpa: number; readonly length: number }
  | {
      readonly do: 'read' | 'write' | 'aperture';
      readonly gpa: number;
      readonly length: number;
      readonly readOnly: boolean;
      readonly value: number;
    }
  | { readonly do: 'unmapAll' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('map' as const),
      window: fc.record({
        gpa: units(GUEST_UNITS),
        length: units(12),
        flags: fc.constantFrom(
          DmaFlag.READ,
          DmaFlag.READ | DmaFlag.WRITE,
          DmaFlag.READ | DmaFlag.WRITE,
        ),
        file: fc.integer({ min: 0, max: 1 }),
        offset: units(FILE_UNITS),
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('unmap' as const),
      pick: fc.integer({ min: 0, max: 12 }),
      gpa: position,
      length,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('read' as const, 'write' as const, 'aperture' as const),
      gpa: position,
      length,
      readOnly: fc.boolean(),
      value: fc.integer({ min: 0, max: 255 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unmapAll' as const) }) },
);

test('whatever is mapped, unmapped, read and written, memory is as a list of windows says', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const state = ServerState.create();
      const table = new DmaTable(state);
      const model = new Model();
      const fds = model.files.map((bytes) => {
        const fd = createMemoryFile('ram', bytes.length);
        writeSync(fd, bytes);
        return fd;
      });
      try {
        for (const one of steps) run(one, table, state, model, fds);
      } finally {
        table.release();
        for (const fd of fds) closeFd(fd);
      }
      expect(state.ownedFds()).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

function run(one: Step, table: DmaTable, state: ServerState, model: Model, fds: number[]): void {
  switch (one.do) {
    case 'map': {
      const { gpa, length, flags, file, offset } = one.window;
      const fd = state.own(duplicateFd(fds[file]!));
      expect(table.map(gpa, length, flags, fd, offset)).toBe(model.map(one.window));
      return;
    }
    case 'unmap': {
      const { gpa, length } = model.windows[one.pick] ?? one;
      expect(table.unmap(gpa, length)).toBe(model.unmap(gpa, length));
      expect(table.count).toBe(model.windows.length);
      return;
    }
    case 'unmapAll':
      table.unmapAll();
      model.windows = [];
      return;
    case 'read': {
      const places = model.bytes(one.gpa, one.length, DmaFlag.READ);
      const whole = !places.includes(undefined);
      const into = Buffer.alloc(one.length, 0x5a);
      expect(table.read(one.gpa, into)).toBe(whole);
      const expected = places.map((place) => (whole ? place!.file[place!.at]! : 0xff));
      expect(into.equals(Buffer.from(expected))).toBe(true);
      return;
    }
    case 'write': {
      const places = model.bytes(one.gpa, one.length, DmaFlag.WRITE);
      const whole = !places.includes(undefined);
      expect(table.write(one.gpa, Buffer.alloc(one.length, one.value))).toBe(whole);
      if (whole) for (const place of places) place!.file[place!.at] = one.value;
      return;
    }
    case 'aperture': {
      const access = one.readOnly ? DmaFlag.READ : DmaFlag.READ | DmaFlag.WRITE;
      const places = model.bytes(one.gpa, one.length, access);
      using aperture = table.aperture(one.gpa, one.length, { readOnly: one.readOnly });
      if (places.includes(undefined)) {
        expect(aperture).toBeUndefined();
        return;
      }
      // A range within one window always has an aperture; one that crosses them only where pages allow.
      if (aperture === undefined) {
        expect(new Set(places.map((_, i) => windowAt(model, one.gpa + i))).size).toBeGreaterThan(1);
        return;
      }
      const expected = Buffer.from(places.map((place) => place!.file[place!.at]!));
      expect(aperture.bytes.equals(expected)).toBe(true);
      if (one.readOnly) return;
      aperture.bytes.fill(one.value);
      for (const place of places) place!.file[place!.at] = one.value;
    }
  }
}

function windowAt(model: Model, gpa: number): Window | undefined {
  return model.windows.find((known) => gpa >= known.gpa && gpa < known.gpa + known.length);
}
