import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DirectTable, DirectTableError, type DoorbellMatch } from '../../src/pci/direct-table.ts';

const PAGE = 4096;
const PAGES = 4;
const SIZE = PAGES * PAGE;

interface Bell {
  readonly kind: 'bell';
  readonly id: number;
  readonly match: DoorbellMatch;
}

interface Pages {
  readonly kind: 'page' | 'range';
  readonly id: number;
  readonly bar: number;
  readonly offset: number;
  readonly bytes: Buffer;
  readonly writable: boolean;
}

/** The same as anyone would write it down: lists, and a look at all of them. */
class Model {
  bells: Bell[] = [];
  pages: Pages[] = [];

  addBell(bell: Bell): string {
    const { bar, offset, width, value } = bell.match;
    const bits = 8 * (width === 0 ? 8 : width);
    if (bar === 1 || offset + Math.max(width, 1) > SIZE) return 'invalid';
    if (width > 1 && offset % width !== 0) return 'invalid';
    if (value !== undefined && value >> BigInt(bits) !== 0n) return 'invalid';
    const isTaken = this.bells.some(({ match: other }) => {
      if (other.bar !== bar || other.offset !== offset) return false;
      if (other.width !== 0 && width !== 0 && other.width !== width) return false;
      if (other.value === undefined || value === undefined) return true;
      if (other.width === width) return other.value === value;
      const over = 8 * Math.max(other.width, width);
      return BigInt.asUintN(over, other.value) === BigInt.asUintN(over, value);
    });
    if (isTaken || this.pagesAt(bar, offset) !== undefined) return 'taken';
    this.bells.push(bell);
    return 'granted';
  }

  addPages(pages: Pages): string {
    const { bar, offset, bytes } = pages;
    if (bar === 1 || offset + bytes.length > SIZE) return 'invalid';
    const end = offset + bytes.length;
    const inside = (at: number): boolean => at >= offset && at < end;
    const isTaken =
      this.pages.some((other) => {
        return (
          other.bar === bar && other.offset < end && offset < other.offset + other.bytes.length
        );
      }) || this.bells.some(({ match }) => match.bar === bar && inside(match.offset));
    if (isTaken) return 'taken';
    this.pages.push(pages);
    return 'granted';
  }

  removeBell({ bar, offset, width, value }: DoorbellMatch): string {
    const index = this.bells.findIndex(({ match }) => {
      return (
        match.bar === bar &&
        match.offset === offset &&
        match.width === width &&
        match.value === value
      );
    });
    if (index < 0) return 'absent';
    this.bells.splice(index, 1);
    return 'granted';
  }

  removePages(kind: Pages['kind'], bar: number, offset: number): string {
    const index = this.pages.findIndex((pages) => {
      return pages.kind === kind && pages.bar === bar && pages.offset === offset;
    });
    if (index < 0) return 'absent';
    this.pages.splice(index, 1);
    return 'granted';
  }

  pagesAt(bar: number, offset: number): Pages | undefined {
    return this.pages.find((pages) => {
      return (
        pages.bar === bar && offset >= pages.offset && offset < pages.offset + pages.bytes.length
      );
    });
  }

  /** Ids of those that a write may ring: any of them is right. */
  ringing(bar: number, offset: number, width: number, value: bigint): number[] {
    const bells = this.bells.filter(({ match }) => {
      if (match.bar !== bar || match.offset !== offset) return false;
      if (match.width !== 0 && match.width !== width) return false;
      return match.value === undefined || BigInt.asUintN(8 * width, match.value) === value;
    });
    const pages = this.pagesAt(bar, offset);
    return [...bells, ...(pages?.kind === 'page' ? [pages] : [])].map(({ id }) => id);
  }

  /** Where a 1, 2 or 4 byte access falls into memory, all of it. */
  memory(bar: number, offset: number, width: number): Pages | undefined {
    const pages = this.pagesAt(bar, offset);
    if (pages?.kind !== 'range') return undefined;
    return offset + width <= pages.offset + pages.bytes.length ? pages : undefined;
  }
}

const bar = fc.constantFrom(0, 1, 2);
/** Few places, so that they meet; some at the seams of pages, and at the end. */
const place = fc
  .tuple(fc.integer({ min: 0, max: PAGES }), fc.constantFrom(-8, -4, -2, -1, 0, 1, 2, 4, 8))
  .map(([page, by]) => Math.max(0, page * PAGE + by));
const match = fc.record({
  bar,
  offset: place,
  width: fc.constantFrom(0, 1, 2, 4, 8) as fc.Arbitrary<DoorbellMatch['width']>,
  value: fc.constantFrom(undefined, 0n, 1n, 0x101n, 0x1_0001n, 0x1_0000_0001n),
});
const step = fc.oneof(
  fc.record({ kind: fc.constant('addBell' as const), match }),
  fc.record({ kind: fc.constant('removeBell' as const), match }),
  fc.record({
    kind: fc.constantFrom('addPage' as const, 'addRange' as const),
    bar,
    page: fc.integer({ min: 0, max: PAGES }),
    pages: fc.integer({ min: 1, max: 2 }),
    writable: fc.boolean(),
  }),
  fc.record({
    kind: fc.constantFrom('removePage' as const, 'removeRange' as const),
    bar,
    page: fc.integer({ min: 0, max: PAGES }),
  }),
  fc.record({
    kind: fc.constant('access' as const),
    bar,
    offset: place,
    width: fc.constantFrom(1, 2, 4, 8),
    value: fc.constantFrom(0n, 1n, 0x101n, 0x1_0001n, 0x1_0000_0001n),
  }),
);

function kindOf(call: () => void): string {
  try {
    call();
  } catch (error) {
    if (!(error instanceof DirectTableError)) throw error;
    return error.kind;
  }
  return 'granted';
}

test('serves what a plain list of doorbells and pages says, whatever comes and goes', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new DirectTable([
        { slot: 0, size: SIZE },
        { slot: 2, size: SIZE },
      ]);
      const model = new Model();
      let rung: number | undefined;
      for (const [id, each] of steps.entries()) {
        const signal = (): void => {
          rung = id;
        };
        if (each.kind === 'addBell') {
          const said = kindOf(() => table.addDoorbell(each.match, signal));
          expect(said).toBe(model.addBell({ kind: 'bell', id, match: each.match }));
        } else if (each.kind === 'removeBell') {
          expect(kindOf(() => table.removeDoorbell(each.match))).toBe(model.removeBell(each.match));
        } else if (each.kind === 'addPage' || each.kind === 'addRange') {
          const { bar, writable } = each;
          const offset = each.page * PAGE;
          const isPage = each.kind === 'addPage';
          const bytes = Buffer.alloc((isPage ? 1 : each.pages) * PAGE);
          const said = kindOf(() => {
            if (isPage) table.addDoorbellPage(bar, offset, signal);
            else table.addRange(bar, offset, { bytes, writable });
          });
          const kind = isPage ? 'page' : 'range';
          expect(said).toBe(model.addPages({ kind, id, bar, offset, bytes, writable }));
        } else if (each.kind === 'removePage' || each.kind === 'removeRange') {
          const offset = each.page * PAGE;
          const isPage = each.kind === 'removePage';
          const said = kindOf(() => {
            if (isPage) table.removeDoorbellPage(each.bar, offset);
            else table.removeRange(each.bar, offset);
          });
          expect(said).toBe(model.removePages(isPage ? 'page' : 'range', each.bar, offset));
        } else if (each.kind === 'access') {
          const { bar, offset, width } = each;
          const value = BigInt.asUintN(8 * width, each.value);
          const [low, high] = [Number(value & 0xffff_ffffn), Number(value >> 32n)];
          const right = model.ringing(bar, offset, width, value);
          rung = undefined;
          expect(table.ring(bar, offset, width, low, high)).toBe(right.length > 0);
          if (right.length > 0) expect(right).toContain(rung);
          else expect(rung).toBeUndefined();
          if (width === 8) continue;
          const pages = model.memory(bar, offset, width);
          const width32 = width as 1 | 2 | 4;
          const isWritten = table.write(bar, offset, width32, low);
          expect(isWritten).toBe(pages?.writable === true);
          const at = offset - (pages?.offset ?? 0);
          if (isWritten) expect(pages?.bytes.readUIntLE(at, width)).toBe(low);
          expect(table.read(bar, offset, width32)).toBe(pages?.bytes.readUIntLE(at, width) ?? -1);
        }
      }
      expect(table.doorbellCount).toBe(
        model.bells.length + model.pages.filter(({ kind }) => kind === 'page').length,
      );
      expect(table.rangeCount).toBe(model.pages.filter(({ kind }) => kind === 'range').length);
    }),
    { numRuns: 1000 },
  );
});
