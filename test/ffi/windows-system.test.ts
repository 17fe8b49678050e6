import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { OutCell } from '../../src/ffi/abi.ts';
import { koffi } from '../../src/ffi/native-config.ts';
import { NotSupportedError } from '../../src/ffi/native-library-error.ts';
import { systemLibrary, type WindowsSystem, windowsSystem } from '../../src/ffi/windows-system.ts';
import { openStandIns, standInsUnavailable } from '../windows/stand-ins.ts';
import { hasProbe, probeLibrary } from './abi-probe.ts';

const windows = process.platform === 'win32';
const SIGNALLED = 0;
const TIMED_OUT = 0x102;
const FOREVER = 0xffff_ffff;
const INVALID_HANDLE = 0xffff_ffff_ffff_ffffn;
const READ_WRITE = 4;
const EXECUTE_READ = 0x20;

/** The system of this Windows; elsewhere the stand-in for it. */
const systemPath = standInsUnavailable === undefined ? openStandIns().libraries.system : undefined;
const hasSystem = windows || systemPath !== undefined;
if (!hasSystem) console.log(`Not tested against a system: ${standInsUnavailable}`);

describe.runIf(hasSystem)('the Windows system', () => {
  let system: WindowsSystem;
  beforeAll(() => {
    system = windowsSystem(systemPath);
  });
  const newEvent = (manualReset: 0 | 1): number => {
    const event = Number(system.CreateEventW(null, manualReset, 0, null));
    expect(event).toBeGreaterThan(0);
    return event;
  };

  test('has events, which one thread waits for and another sets', async () => {
    const { CloseHandle, ResetEvent, SetEvent, WaitForSingleObject } = system;
    const event = newEvent(1);
    expect(WaitForSingleObject(event, 0)).toBe(TIMED_OUT);
    const waited = WaitForSingleObject.async(event, FOREVER);
    expect(SetEvent(event)).not.toBe(0);
    expect(await waited).toBe(SIGNALLED);
    expect(WaitForSingleObject(event, 0)).toBe(SIGNALLED);
    ResetEvent(event);
    expect(WaitForSingleObject(event, 0)).toBe(TIMED_OUT);
    expect(CloseHandle(event)).not.toBe(0);
  });

  test('waits for several handles, and says which', () => {
    const { CloseHandle, SetEvent, WaitForMultipleObjects } = system;
    const events = [newEvent(0), newEvent(0), newEvent(0)];
    const handles = BigUint64Array.from(events, BigInt);
    SetEvent(events[2] as number);
    expect(WaitForMultipleObjects(3, handles, 0, 0)).toBe(SIGNALLED + 2);
    expect(WaitForMultipleObjects(3, handles, 0, 0)).toBe(TIMED_OUT);
    for (const event of events) CloseHandle(event);
  });

  test('wakes who waits on an address', async () => {
    const { WaitOnAddress, WakeByAddressSingle } = system;
    const words = new Int32Array(new SharedArrayBuffer(128));
    const unchanged = new Int32Array(32);
    expect(WaitOnAddress(words, unchanged, 4, 0)).toBe(0);
    const waited = WaitOnAddress.async(words, unchanged, 4, FOREVER);
    Atomics.store(words, 0, 1);
    WakeByAddressSingle(words);
    expect(await waited).not.toBe(0);
  });

  test('gives memory, and takes writing away from it', () => {
    const size = 65_536;
    const memory = system.VirtualAlloc(null, size, 0x3000, READ_WRITE);
    expect(Number(memory)).toBeGreaterThan(0);
    koffi.encode(memory, 'uint32_t', 0xc3c3_c3c3);
    const old: OutCell = [0];
    expect(system.VirtualProtect(memory, size, EXECUTE_READ, old)).not.toBe(0);
    expect(old).toEqual([READ_WRITE]);
    const self = system.GetCurrentProcess();
    expect(system.FlushInstructionCache(self, memory, size)).not.toBe(0);
    expect(koffi.decode.uint32(memory)).toBe(0xc3c3_c3c3);
    expect(system.VirtualFree(memory, 0, 0x8000)).not.toBe(0);
  });

  test('maps a section twice', () => {
    const section = system.CreateFileMappingW(INVALID_HANDLE, null, READ_WRITE, 0, 65_536, null);
    const first = system.MapViewOfFile(section, 6, 0, 0, 65_536);
    const second = system.MapViewOfFile(section, 6, 0, 0, 65_536);
    expect([Number(first) > 0, second !== first]).toEqual([true, true]);
    koffi.encode(first, 'uint32_t', 0x1234_5678);
    expect(koffi.decode.uint32(second)).toBe(0x1234_5678);
    expect(system.UnmapViewOfFile(first)).not.toBe(0);
    expect(system.UnmapViewOfFile(second)).not.toBe(0);
    expect(system.CloseHandle(section)).not.toBe(0);
  });

  test('calls native code when an event is set, by the address of a function', async () => {
    const [watched, told] = [newEvent(0), newEvent(0)];
    const wait: OutCell = [0];
    // On x64 the second argument of the callback is passed where SetEvent does not look.
    const registered = system.RegisterWaitForSingleObject(
      wait,
      watched,
      system.addressOf('SetEvent'),
      told,
      FOREVER,
      0,
    );
    expect(registered).not.toBe(0);
    system.SetEvent(watched);
    expect(await system.WaitForSingleObject.async(told, 30_000)).toBe(SIGNALLED);
    expect(await system.UnregisterWaitEx.async(wait[0], INVALID_HANDLE)).not.toBe(0);
    system.CloseHandle(watched);
    system.CloseHandle(told);
  });

  test('keeps a multi-threaded apartment', () => {
    const cookie: OutCell = [0];
    expect(system.CoIncrementMTAUsage(cookie)).toBe(0);
    expect(system.CoDecrementMTAUsage(cookie[0])).toBe(0);
  });

  test('counts the time of threads', () => {
    const thread = system.OpenThread(0x0800, 0, system.GetCurrentThreadId());
    const times = Array.from({ length: 4 }, () => new BigUint64Array(16));
    const [created, ended, kernel, user] = times as [
      BigUint64Array,
      BigUint64Array,
      BigUint64Array,
      BigUint64Array,
    ];
    expect(system.GetThreadTimes(thread, created, ended, kernel, user)).not.toBe(0);
    expect((kernel[0] ?? 0n) + (user[0] ?? 0n)).toBeGreaterThan(0n);
    system.CloseHandle(thread);
  });

  test('lies in the system folder', () => {
    expect(systemLibrary('kernel32.dll')).toMatch(/^[A-Z]:\\windows.System32.kernel32\.dll$/i);
  });
});

describe.runIf(!windows)('a system', () => {
  test('of another system needs a path', () => {
    expect(() => windowsSystem()).toThrow(
      `Cannot call windowsSystem as this is ${process.platform}: it needs Windows`,
    );
  });

  test.runIf(hasProbe)('lacks functions only when they are called', async () => {
    const path = probeLibrary();
    try {
      const system = windowsSystem(path);
      expect(windowsSystem(path)).toBe(system);
      expect(() => system.SetEvent(1)).toThrow(NotSupportedError);
      await expect(system.WaitOnAddress.async(0, 0, 4, 0)).rejects.toThrow(
        `Cannot call WaitOnAddress as ${path} does not export it`,
      );
      expect(system.addressOf('LocalFree')).toBeGreaterThan(0);
      expect(() => system.addressOf('CloseHandle')).toThrow(NotSupportedError);
    } finally {
      rmSync(dirname(path), { recursive: true, force: true });
    }
  });
});
