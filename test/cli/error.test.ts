import { describe, expect, test } from 'vitest';
import { codeGiven } from '../../src/cli/errors/code-given.ts';
import { explanationOf } from '../../src/cli/errors/explanations.ts';
import { FUNCTION_ERRORS } from '../../src/cli/errors/function-errors.ts';
import { partsOf } from '../../src/cli/errors/parts.ts';
import { HRESULT, type HresultName, hresultMeaning, hresultName } from '../../src/hcs/hresult.ts';
import * as hcs from '../../src/hcs.ts';
import * as hdv from '../../src/hdv.ts';
import { Workplace } from './run-cli.ts';

describe('an error code', () => {
  test.for([
    ['0x8037010D', 0x8037010d],
    ['0x8037010d', 0x8037010d],
    ['8037010D', 0x8037010d],
    ['80370105', 0x80370105],
    ['C0370105', 0xc0370105],
    ['-2143878899', 0x8037010d],
    ['2151088397', 0x8037010d],
    ['HCS_E_INVALID_JSON', 0x8037010d],
    ['hcs_e_invalid_json', 0x8037010d],
    ['ERROR_VMCOMPUTE_TIMEOUT', 0xc0370109],
    ['0', 0],
    ['0xffffffff', 0xffffffff],
  ] as const)('is understood as %s', ([text, value]) => {
    expect(codeGiven(text)).toBe(value);
  });

  test.for([
    ['HCS_E_INVALID_JSN', 'did you mean HCS_E_INVALID_JSON?'],
    ['SYSTEM_NOT_FOUND', 'SYSTEM_NOT_FOUND?'],
    ['what is this', 'give the number: 0x8037010D, or -2143878899'],
    ['', 'give the number: 0x8037010D, or -2143878899'],
    ['constructor', 'give the number: 0x8037010D, or -2143878899'],
    ['0x100000000', 'give a number from -2147483648 to 4294967295, or from 0x0 to 0xFFFFFFFF'],
    ['-2147483649', 'give a number from -2147483648 to 4294967295, or from 0x0 to 0xFFFFFFFF'],
    ['1'.repeat(1000), 'give a number from -2147483648 to 4294967295, or from 0x0 to 0xFFFFFFFF'],
  ] as const)('that is %j is refused', ([text, remedy]) => {
    expect(() => codeGiven(text)).toThrow(/^Cannot explain /);
    try {
      codeGiven(text);
    } catch (error) {
      expect((error as { remedy: string }).remedy).toContain(remedy);
    }
  });

  test('is taken apart', () => {
    expect(partsOf(0x8037010d)).toMatchObject({ severity: 'failure', facility: 55, code: 0x10d });
    expect(partsOf(0x80070005)).toMatchObject({ facilityName: 'Win32', code: 5 });
    expect(partsOf(0xa0040001)).toMatchObject({ isCustomer: true, facility: 4 });
    expect(partsOf(0xd0000022)).toMatchObject({ isNtStatus: true, facility: 0, code: 0x22 });
    expect(partsOf(0)).toMatchObject({ severity: 'success', facility: 0, code: 0 });
  });

  test('that has a name has a meaning, a cause and a remedy', () => {
    for (const name of Object.keys(HRESULT) as HresultName[]) {
      const explanation = explanationOf(name);
      const twin = hresultName(HRESULT[name] - 0x4000_0000);
      const meanings = [name, twin].map((each) => each && hresultMeaning(each));
      const hasMeaning = [explanation?.meaning, ...meanings].some((each) => each !== undefined);
      expect([name, hasMeaning, explanation?.cause, explanation?.remedy]).toEqual([
        name,
        true,
        expect.any(String),
        expect.any(String),
      ]);
    }
  });

  test('is given by functions that there are', () => {
    const functions = new Set([...Object.keys(hcs), ...Object.keys(hdv)]);
    for (const [name, codes] of Object.entries(FUNCTION_ERRORS)) {
      expect(functions).toContain(name);
      expect([name, new Set(codes).size]).toEqual([name, codes.length]);
    }
  });
});

describe.concurrent('hdvkit error', () => {
  test('explains a code', async () => {
    using place = new Workplace();
    const { code, stdout } = await place.run(['error', '0x8037010D']);
    for (const line of [
      /^HCS_E_INVALID_JSON {2}0x8037010D$/m,
      /^ {2}number +-2143878899 signed, 2151088397 unsigned$/m,
      /^ {2}facility +55 \(virtualization: /m,
      /^ {2}meaning +the document is malformed/m,
      /^ {2}cause +\S/m,
      /^ {2}remedy +.*hdvkit validate FILE/m,
      /^ {2}given by +.*HcsCreateComputeSystem, .*HcsModifyComputeSystem/m,
      /^ {2}also +ERROR_VMCOMPUTE_INVALID_JSON 0xC037010D/m,
    ]) {
      expect(stdout).toMatch(line);
    }
    expect(code).toBe(0);
  });

  test('takes a negative number, and prints the same as data', async () => {
    using place = new Workplace();
    const { code, stdout, stderr } = await place.run(['error', '-2147024891', '--json']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      hresult: '0x80070005',
      signed: -2147024891,
      unsigned: 0x80070005,
      name: 'E_ACCESSDENIED',
      parts: { facility: 7, facilityName: 'Win32', code: 5 },
      functions: expect.arrayContaining(['HcsGrantVmAccess']),
    });
    expect(code).toBe(0);
  });

  test('takes apart what has no name', async () => {
    using place = new Workplace();
    const { code, stdout } = await place.run(['error', '0x80078123']);
    expect(stdout).toMatch(/^No name is known {2}0x80078123$/m);
    expect(stdout).toMatch(/^ {2}code +33059 \(0x8123\)$/m);
    expect(stdout).toContain('net helpmsg 33059');
    expect(code).toBe(0);
  });

  test('says what a small number is as a Win32 error', async () => {
    using place = new Workplace();
    const { stdout } = await place.run(['error', '1168']);
    expect(stdout).toContain('hdvkit error 0x80070490');
  });

  test('suggests the name that was meant', async () => {
    using place = new Workplace();
    const { code, stdout, stderr } = await place.run(['error', 'HCS_E_INVALID_STAT']);
    expect(stderr).toMatch(/remedy: did you mean HCS_E_INVALID_STATE\?/);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});
