import { describe, expect, test } from 'vitest';
import { checkHdv, hdvFailure, isFailure } from '../../../src/hdv/native/hdv-result.ts';

describe('a failing HRESULT', () => {
  test.each([
    [0, false],
    [1, false],
    [0x7fff_ffff, false],
    [0x8000_0000, true],
    [-2147024809, true],
    [0xc037_0030, true],
  ])('%i is a failure: %s', (hresult, expected) => {
    expect(isFailure(hresult)).toBe(expected);
  });

  test('has its name and what to do about it', () => {
    expect(hdvFailure('HdvInitializeDeviceHost', 0xc037_0030).message).toBe(
      'HdvInitializeDeviceHost failed with ERROR_VID_PROCESS_ALREADY_SET: this process already hosts devices of the system: use that device host, it carries any number of devices',
    );
    expect(hdvFailure('HdvInitializeDeviceHostEx', 0x8001_0119).message).toContain(
      'initialize without HdvDeviceHostFlagInitializeComSecurity',
    );
    expect(hdvFailure('HdvInitializeDeviceHost', -2147024891).message).toContain(
      'Hyper-V Administrators',
    );
  });

  test('says what it means in the function that failed', () => {
    const code = 0x8007_0005;
    expect(hdvFailure('HdvReadGuestMemory', code).message).toContain(
      'HdvCreateGuestMemoryAperture',
    );
    expect(hdvFailure('HdvRegisterDoorbell', code).message).toContain('the writes are intercepted');
    expect(hdvFailure('HdvCreateSectionBackedMmioRange', code).message).toContain(
      'the accesses are intercepted',
    );
    expect(hdvFailure('HdvInitializeDeviceHostForProxy', code).message).toContain(
      'one after the other',
    );
  });

  test('of the compute service has the name that it has there; an unknown one its number', () => {
    const known = hdvFailure('HdvInitializeDeviceHost', 0x8037_010e);
    expect([known.code, known.hresult]).toEqual(['HCS_E_SYSTEM_NOT_FOUND', 0x8037_010e]);
    expect(known.message).toContain('no compute system has this id');
    expect(hdvFailure('HdvInitializeDeviceHost', 0x8888_1234).code).toBe('0x88881234');
  });

  test('is thrown, and success is not', () => {
    checkHdv('HdvDeliverGuestInterrupt', 0);
    expect(() => checkHdv('HdvDeliverGuestInterrupt', 0x8007_0006)).toThrow(
      expect.objectContaining({ function: 'HdvDeliverGuestInterrupt', code: 'E_HANDLE' }),
    );
  });
});
