import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatMask, parseMask, Right } from '../../../src/daemon/access/access-mask.ts';
import { SddlError } from '../../../src/daemon/access/sddl-error.ts';
import {
  formatSddl,
  LONGEST_SDDL,
  parseSddl,
} from '../../../src/daemon/access/security-descriptor.ts';
import { parseSid, uidOf } from '../../../src/daemon/access/sid.ts';

describe('the string format of security descriptors', () => {
  test('has owner, group and a list, in any order and case', () => {
    const descriptor = {
      owner: 'S-1-5-18',
      group: 'S-1-22-2-100',
      entries: [
        { type: 'deny', isInheritOnly: false, mask: Right.WRITE, sid: 'S-1-22-1-1001' },
        { type: 'allow', isInheritOnly: true, mask: 0x001f01ff, sid: 'S-1-1-0' },
      ],
    };
    const list = 'D:PARAI(D;;GW;;;S-1-22-1-1001)(A;CIOIIO;FA;;;WD)';
    expect(parseSddl(`O:SYG:S-1-22-2-100${list}`)).toEqual(descriptor);
    expect(parseSddl(`${list}S:AI(AU;SAFA;GA;;;WD)G:S-1-22-2-100O:SY`)).toEqual(descriptor);
    expect(parseSddl(`o:syg:s-1-22-2-100${list.toLowerCase()}`)).toEqual(descriptor);
  });

  test('tells no list, an empty one, and no control at all from each other', () => {
    expect(parseSddl('').entries).toBeUndefined();
    expect(parseSddl('D:').entries).toEqual([]);
    expect(parseSddl('D:P').entries).toEqual([]);
    expect(parseSddl('D:NO_ACCESS_CONTROL').entries).toBe('everyone');
  });

  test.each([
    ['GA', 0x1000_0000],
    ['GRGWGX', 0xe000_0000],
    ['RCSDWDWO', 0x000f_0000],
    ['CCDCLCSWRPWPDTLOCR', 0x1ff],
    ['FRFX', 0x0012_00a9],
    ['0x1f01ff', 0x001f_01ff],
    ['0X80000000', 0x8000_0000],
    ['268435456', 0x1000_0000],
    ['017', 0o17],
    ['0', 0],
    ['', 0],
  ])('has %s for a set of rights', (text, mask) => {
    expect(parseMask(text, 0)).toBe(mask);
  });

  test.each([
    ['G', '"G" is no right'],
    ['GAX', '"X" is no right'],
    ['GA GR', '" G" is no right'],
    ['__proto__', '"__" is no right'],
    ['0x100000000', 'no set of rights'],
    ['4294967296', 'no set of rights'],
    ['0x02000000', 'no set of rights'],
    ['08', 'no set of rights'],
    ['0x', 'no set of rights'],
  ])('refuses %s as rights', (text, reason) => {
    expect(() => parseMask(text, 0)).toThrow(reason);
  });

  test.each([
    ['WD', 'S-1-1-0'],
    ['sy', 'S-1-5-18'],
    ['BA', 'S-1-5-32-544'],
    ['s-1-22-1-1000', 'S-1-22-1-1000'],
    ['S-1-0x5-018', 'S-1-5-18'],
    ['S-1-281474976710655-4294967295', 'S-1-281474976710655-4294967295'],
    [`S-1-5${'-1'.repeat(15)}`, `S-1-5${'-1'.repeat(15)}`],
  ])('has %s for an account', (text, sid) => {
    expect(parseSid(text)).toBe(sid);
  });

  test.each([
    '',
    'S',
    'S-1',
    'S-1-5',
    'S-2-5-18',
    'S-1-5-',
    'S-1-5-18 ',
    'S-1-5--1',
    'S-1-5-4294967296',
    'S-1-281474976710656-1',
    `S-1-5${'-1'.repeat(16)}`,
    'ZZ',
    'S-1-5-1e3',
    'constructor',
  ])('refuses "%s" as an account', (text) => {
    expect(() => parseSid(text)).toThrow(SddlError);
  });

  test('says of accounts of a domain that there is none', () => {
    expect(() => parseSddl('O:DA')).toThrow('"DA" is of a domain of Windows');
  });

  test.each([
    ['X:SY', 1, 'O:, G:, D: or S:'],
    ['O:SYO:SY', 5, 'another O:'],
    ['D:(A;;GA;;;WD', 3, 'has no end'],
    ['D:(A;;GA;;WD)', 4, 'six fields'],
    ['D:(A;;GA;;;WD;x)', 4, 'six fields'],
    ['D:(XA;;GA;;;WD;(a))', 4, 'six fields'],
    ['D:(XA;;GA;;;WD)', 4, '"XA" is no type that can be honoured'],
    ['D:(OA;;GA;bf967aba-0de6-11d0-a285-00aa003049e2;;WD)', 4, 'part of an object'],
    ['D:(A;ZZ;GA;;;WD)', 4, '"ZZ" is no flag'],
    ['D:(A;;QQ;;;WD)', 7, '"QQ" is no right'],
    ['D:(A;;GA;;;nobody)', 12, 'no security identifier'],
    ['D:(A;;GA;;;WD) ', 15, 'O:, G:, D: or S:'],
    ['S:(A;;GA;;;WD)', 4, "system's list"],
  ])('refuses %s and says where and why', (text, character, reason) => {
    expect(() => parseSddl(text)).toThrow(`at character ${character}, `);
    expect(() => parseSddl(text)).toThrow(reason);
  });

  test('reads what it writes', () => {
    const sid = fc
      .tuple(fc.nat(2 ** 31), fc.array(fc.nat(2 ** 31), { minLength: 1, maxLength: 15 }))
      .map(([authority, numbers]) => `S-1-${[authority, ...numbers].join('-')}`);
    const entry = fc.record({
      type: fc.constantFrom('allow' as const, 'deny' as const),
      isInheritOnly: fc.boolean(),
      mask: fc.nat(0xffff_ffff).map((mask) => (mask & 0xf11f_ffff) >>> 0),
      sid,
    });
    const maybe = <T>(some: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
      fc.option(some, { nil: undefined });
    const descriptor = fc.record({
      owner: maybe(sid),
      group: maybe(sid),
      entries: maybe(fc.oneof(fc.constant('everyone' as const), fc.array(entry))),
    });
    fc.assert(
      fc.property(descriptor, (value) => {
        expect(parseSddl(formatSddl(value))).toEqual(value);
      }),
    );
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), (bits) => {
        const mask = (bits & 0xf11f_ffff) >>> 0;
        expect(parseMask(formatMask(mask), 0)).toBe(mask);
      }),
    );
  });

  test('gives a descriptor or an SddlError for whatever text', () => {
    const piece = fc.constantFrom(
      ...['O:', 'G:', 'D:', 'S:', 'P', 'AI', '(', ')', ';', ';;', 'A', 'D', 'OA', 'GA', '0x', 'WD'],
      ...['SY', 'S-1-', '22-1-', '-', '5', '4294967296', ' ', '\0', 'é', '😀', 'IO', 'NO_ACCESS_'],
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(text, (hostile) => {
        try {
          parseSddl(hostile);
        } catch (error) {
          expect(error).toBeInstanceOf(SddlError);
          expect((error as SddlError).message.length).toBeLessThan(250);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test.each([
    ['10 MiB', 'D:'.padEnd(10 * 1024 * 1024, '(A;;GA;;;WD)')],
    ['all that fits of lists', 'D:'.padEnd(LONGEST_SDDL, '(A;;GA;;;WD)')],
    ['all that fits of open brackets', 'D:'.padEnd(LONGEST_SDDL, '(')],
    ['all that fits of an entry', `D:(${'A;'.repeat(LONGEST_SDDL / 2 - 4)})`],
    ['all that fits of flags', `D:(A;${'CI'.repeat(LONGEST_SDDL / 2 - 100)};GA;;;WD)`],
    ['all that fits of rights', `D:(A;;${'GA'.repeat(LONGEST_SDDL / 2 - 100)};;;WD)`],
    ["all that fits of a list's flags", 'D:'.padEnd(LONGEST_SDDL, 'P')],
    ['all that fits of an account', 'O:S-1-5'.padEnd(LONGEST_SDDL, '-1')],
    ['all that fits of digits', 'O:S-1-5-'.padEnd(LONGEST_SDDL, '1')],
    ['all that fits of colons', 'O'.padEnd(LONGEST_SDDL, ':')],
  ])('is done with %s', (_what, text) => {
    try {
      parseSddl(text);
    } catch (error) {
      expect(error).toBeInstanceOf(SddlError);
    }
  });

  test('has the users of Linux by their numbers', () => {
    expect(['S-1-22-1-1000', 'S-1-22-1-0', 'S-1-5-18', 'S-1-22-2-5', 'S-1-1-0'].map(uidOf)).toEqual(
      [1000, 0, 0, undefined, undefined],
    );
  });
});
