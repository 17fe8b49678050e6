import { describe, expect, test } from 'vitest';
import { Right } from '../../../src/daemon/access/access-mask.ts';
import { descriptorFor, mayAccess } from '../../../src/daemon/access/may-access.ts';
import { parseSddl } from '../../../src/daemon/access/security-descriptor.ts';

const ROOT = { uid: 0, gid: 0, groups: [0] };
const ANN = { uid: 1000, gid: 1000, groups: [100, 44] };
const BOB = { uid: 1001, gid: 1001, groups: [44] };

const may = (sddl: string, account: typeof ANN, right: number): boolean =>
  mayAccess(parseSddl(sddl), account, right);

describe('who may access a system', () => {
  test('its owner and root alone, when nothing else is said', () => {
    const sddl = descriptorFor(ANN, undefined);
    expect(sddl).toBe('O:S-1-22-1-1000G:S-1-22-2-1000D:(A;;GA;;;S-1-22-1-1000)(A;;GA;;;S-1-5-18)');
    expect([ANN, ROOT, BOB].map((who) => may(sddl, who, Right.ALL))).toEqual([true, true, false]);
    expect(may(sddl, BOB, Right.READ)).toBe(false);
  });

  test('a group that is allowed to, by its main and its other members', () => {
    const sddl = 'D:(A;;GRGX;;;S-1-22-2-44)';
    expect([ANN, BOB, ROOT].map((who) => may(sddl, who, Right.READ))).toEqual([true, true, false]);
    expect(may('D:(A;;GA;;;S-1-22-2-1001)', BOB, Right.ALL)).toBe(true);
    expect(may(sddl, ANN, Right.ALL)).toBe(false);
    expect(may(sddl, ANN, Right.EXECUTE)).toBe(true);
    expect(may(sddl, ANN, Right.READ | Right.WRITE)).toBe(false);
  });

  test('entries count in their order: what comes first wins', () => {
    const deny = '(D;;GW;;;S-1-22-1-1001)';
    const allow = '(A;;GA;;;WD)';
    expect(may(`D:${deny}${allow}`, BOB, Right.ALL)).toBe(false);
    expect(may(`D:${deny}${allow}`, BOB, Right.READ)).toBe(false); // Both have SYNCHRONIZE and READ_CONTROL.
    expect(may(`D:${deny}${allow}`, BOB, 0x1)).toBe(true);
    expect(may(`D:${deny}${allow}`, ANN, Right.ALL)).toBe(true);
    expect(may(`D:${allow}${deny}`, BOB, Right.ALL)).toBe(true);
  });

  test('rights come together from several entries', () => {
    const sddl = 'D:(A;;GR;;;S-1-22-1-1000)(A;;GW;;;S-1-22-2-100)(A;;GXSDWDWO;;;WD)';
    expect(may(sddl, ANN, Right.READ | Right.WRITE | Right.EXECUTE)).toBe(true);
    expect(may(sddl, BOB, Right.READ | Right.EXECUTE)).toBe(false);
  });

  test('GA and FA are the same, and so are GR and FR', () => {
    expect(may('D:(A;;FA;;;WD)', BOB, Right.ALL)).toBe(true);
    expect(may('D:(A;;GA;;;WD)', BOB, 0x001f_01ff)).toBe(true);
    expect(may('D:(A;;FR;;;WD)', BOB, Right.READ)).toBe(true);
    expect(may('D:(A;;FR;;;WD)', BOB, Right.WRITE)).toBe(false);
  });

  test('entries for what is created below say nothing of the system', () => {
    expect(may('D:(A;CIIO;GA;;;WD)', BOB, Right.READ)).toBe(false);
    expect(may('D:(D;CIIO;GA;;;WD)(A;;GA;;;WD)', BOB, Right.ALL)).toBe(true);
  });

  test('an empty list lets nobody in, and no control lets in everybody', () => {
    expect(may('D:', ROOT, Right.READ)).toBe(false);
    expect(may('', ROOT, Right.READ)).toBe(false);
    expect(may('D:NO_ACCESS_CONTROL', BOB, Right.ALL)).toBe(true);
  });

  test('the owner may always read and change the list, unless OWNER RIGHTS says less', () => {
    const change = Right.READ_CONTROL | Right.WRITE_DAC;
    expect(may('O:S-1-22-1-1000D:', ANN, change)).toBe(true);
    expect(may('O:S-1-22-1-1000D:', ANN, change | Right.DELETE)).toBe(false);
    expect(may('O:S-1-22-1-1000D:', BOB, Right.READ_CONTROL)).toBe(false);
    expect(may('O:S-1-22-1-1000D:(A;;RC;;;OW)', ANN, Right.READ_CONTROL)).toBe(true);
    expect(may('O:S-1-22-1-1000D:(A;;RC;;;OW)', ANN, Right.WRITE_DAC)).toBe(false);
    expect(may('O:S-1-22-1-1000D:(A;;GA;;;OW)', BOB, Right.READ)).toBe(false);
  });

  test('root is the system and an administrator, by either name', () => {
    for (const sid of ['SY', 'BA', 'S-1-22-1-0']) {
      expect(may(`D:(A;;GA;;;${sid})`, ROOT, Right.ALL)).toBe(true);
      expect(may(`D:(A;;GA;;;${sid})`, ANN, Right.READ)).toBe(false);
    }
    expect(may('D:(A;;GA;;;AU)', ANN, Right.ALL)).toBe(true);
    expect(may('D:(A;;GA;;;S-1-5-21-1-2-3-500)', ROOT, Right.READ)).toBe(false);
  });

  test('a descriptor that is given keeps what it says and gets what it lacks', () => {
    expect(descriptorFor(ANN, 'D:P(A;;GR;;;WD)')).toBe(
      'O:S-1-22-1-1000G:S-1-22-2-1000D:(A;;GR;;;S-1-1-0)',
    );
    expect(descriptorFor(ANN, 'G:S-1-22-2-44')).toContain('D:(A;;GA;;;S-1-22-1-1000)');
    expect(descriptorFor(ANN, 'D:NO_ACCESS_CONTROL')).toContain('D:NO_ACCESS_CONTROL');
  });

  test('nobody but root gives a system to somebody else', () => {
    expect(() => descriptorFor(ANN, 'O:S-1-22-1-1001')).toThrow('it can only be who creates');
    expect(() => descriptorFor(ANN, 'O:WD')).toThrow('it can only be who creates');
    expect(descriptorFor(ANN, 'O:S-1-22-2-44')).toContain('O:S-1-22-2-44');
    expect(descriptorFor(ROOT, 'O:S-1-22-1-1001')).toContain('O:S-1-22-1-1001');
  });
});
