import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type WindowsSystem, windowsSystem } from '../../src/ffi/windows-system.ts';
import {
  openStandIns,
  type StandInSystemObject,
  type StandIns,
  standInsUnavailable,
} from './stand-ins.ts';

const WAIT_TIMEOUT = 258;
const [MEM_COMMIT, MEM_RESERVE, MEM_RELEASE] = [0x1000, 0x2000, 0x8000];
const [PAGE_READONLY, PAGE_READWRITE, PAGE_EXECUTE_READ] = [0x02, 0x04, 0x20];
const FILE_MAP_READ_WRITE = 0x06;
const GRANULARITY = 0x1_0000;
/** INVALID_HANDLE_VALUE */
const NOTHING = 0xffff_ffff_ffff_ffffn;
const SECOND = 1000;

// The same tests hold on Windows itself, so that the stand-in is what it stands for.
describe.runIf(standInsUnavailable === undefined)('the system that the package uses', () => {
  let standIns: StandIns;
  let system: WindowsSystem;
  const kinds: StandInSystemObject[] = ['event', 'section', 'view', 'memory', 'wait', 'thread'];
  let before: (number | undefined)[];

  beforeAll(() => {
    standIns = openStandIns();
    system = windowsSystem(standIns.libraries.system);
    before = kinds.map((kind) => standIns.systemObjects(kind));
  });
  afterAll(() => {
    expect(kinds.map((kind) => standIns.systemObjects(kind))).toEqual(before);
    standIns.close();
  });

  const event = (isManual: boolean, isSet = false): number =>
    Number(system.CreateEventW(null, isManual ? 1 : 0, isSet ? 1 : 0, null));

  /** An array of handles, as C has it. */
  const array = (...handles: number[]): BigUint64Array => {
    const all = new BigUint64Array(64);
    all.set(handles.map(BigInt));
    return all;
  };

  test('an automatic event lets one waiter through, however often it was set', () => {
    const handle = event(false);
    expect(system.WaitForSingleObject(handle, 0)).toBe(WAIT_TIMEOUT);
    system.SetEvent(handle);
    system.SetEvent(handle);
    expect(system.WaitForSingleObject(handle, 0)).toBe(0);
    expect(system.WaitForSingleObject(handle, 0)).toBe(WAIT_TIMEOUT);
    expect(system.CloseHandle(handle)).toBe(1);
  });

  test('a manual event stays set until it is reset', () => {
    const handle = event(true, true);
    expect(system.WaitForSingleObject(handle, 0)).toBe(0);
    expect(system.WaitForSingleObject(handle, 0)).toBe(0);
    system.ResetEvent(handle);
    expect(system.WaitForSingleObject(handle, 0)).toBe(WAIT_TIMEOUT);
    system.CloseHandle(handle);
  });

  test('a wait for several tells which, and takes no other', () => {
    const [first, second, third] = [event(false), event(false), event(true)];
    const all = array(first, second, third);
    expect(system.WaitForMultipleObjects(3, all, 0, 0)).toBe(WAIT_TIMEOUT);
    system.SetEvent(third);
    expect(system.WaitForMultipleObjects(3, all, 0, SECOND)).toBe(2);
    system.SetEvent(first);
    system.SetEvent(second);
    expect(system.WaitForMultipleObjects(3, all, 0, SECOND)).toBe(0);
    expect(system.WaitForSingleObject(second, 0)).toBe(0);
    system.SetEvent(first);
    system.SetEvent(second);
    expect(system.WaitForMultipleObjects(3, all, 1, SECOND)).toBe(0);
    expect(system.WaitForMultipleObjects(2, all, 0, 0)).toBe(WAIT_TIMEOUT);
    for (const handle of [first, second, third]) system.CloseHandle(handle);
  });

  test('a waiting thread wakes when the event is set', async () => {
    const handle = event(false);
    const waiting = system.WaitForSingleObject.async(handle, 0xffff_ffff);
    system.SetEvent(handle);
    expect(await waiting).toBe(0);
    const copy: [number | bigint] = [0];
    const self = system.GetCurrentProcess();
    expect(system.DuplicateHandle(self, handle, self, copy, 0, 0, 2)).toBe(1);
    system.SetEvent(copy[0]);
    expect(system.WaitForSingleObject(handle, 0)).toBe(0);
    system.CloseHandle(copy[0]);
    system.CloseHandle(handle);
  });

  test('waiting on an address ends when it differs, when it is woken, or in time', async () => {
    const words = new Int32Array(new SharedArrayBuffer(256));
    const seven = new Int32Array(64).fill(7);
    expect(system.WaitOnAddress(words, seven, 4, 0xffff_ffff)).toBe(1);
    const same = new Int32Array(64);
    expect(system.WaitOnAddress(words, same, 4, 1)).toBe(0);
    const waiting = system.WaitOnAddress.async(words, same, 4, 0xffff_ffff);
    let isOver = false;
    void waiting.then(() => {
      isOver = true;
    });
    Atomics.store(words, 0, 1);
    while (!isOver) {
      system.WakeByAddressAll(words);
      await new Promise(setImmediate);
    }
    expect(await waiting).toBe(1);
  });

  test('memory is aligned to 64 KiB, kept to its address if one is asked, and protected', () => {
    const type = MEM_COMMIT | MEM_RESERVE;
    const start = Number(system.VirtualAlloc(null, 0x3000, type, PAGE_READWRITE));
    expect(start % GRANULARITY).toBe(0);
    const old: [number | bigint] = [0];
    expect(system.VirtualProtect(start, 0x3000, PAGE_EXECUTE_READ, old)).toBe(1);
    expect(old[0]).toBe(PAGE_READWRITE);
    expect(system.FlushInstructionCache(system.GetCurrentProcess(), start, 0x3000)).toBe(1);
    expect(Number(system.VirtualAlloc(start, 0x1000, type, PAGE_READWRITE))).toBe(0);
    expect(system.VirtualFree(start, 0, MEM_RELEASE)).toBe(1);
    expect(Number(system.VirtualAlloc(start, 0x3000, type, PAGE_READONLY))).toBe(start);
    expect(system.VirtualFree(start, 0x3000, MEM_RELEASE)).toBe(0);
    expect(system.VirtualFree(start, 0, MEM_RELEASE)).toBe(1);
  });

  test('reserved memory is committed in parts', () => {
    const start = Number(system.VirtualAlloc(null, GRANULARITY, MEM_RESERVE, PAGE_READWRITE));
    const middle = start + 0x4000;
    expect(Number(system.VirtualAlloc(middle, 0x1000, MEM_COMMIT, PAGE_READWRITE))).toBe(middle);
    expect(system.VirtualFree(start, 0, MEM_RELEASE)).toBe(1);
  });

  test('two views of a section show the same bytes', () => {
    const size = 2 * GRANULARITY;
    const section = Number(system.CreateFileMappingW(NOTHING, null, PAGE_READWRITE, 0, size, null));
    expect(section).not.toBe(0);
    const view = (offset: number, length: number): number =>
      Number(system.MapViewOfFile(section, FILE_MAP_READ_WRITE, 0, offset, length));
    const [whole, second] = [view(0, 0), view(GRANULARITY, 0x1000)];
    const counter = new Uint32Array(64);
    counter[0] = 99;
    // As the kernel reads both sides: the views agree, and differ from 0.
    expect(system.WaitOnAddress(whole + GRANULARITY, second, 4, 1)).toBe(0);
    expect(system.WaitOnAddress(second, counter, 4, 1)).toBe(1);
    expect(view(0x1000, 0x1000)).toBe(0);
    expect(system.UnmapViewOfFile(whole)).toBe(1);
    expect(system.UnmapViewOfFile(second)).toBe(1);
    expect(system.CloseHandle(section)).toBe(1);
  });

  test('a registered wait calls for each signal, and never after it was unregistered', async () => {
    const [object, told] = [event(false), event(false)];
    const wait: [number | bigint] = [0];
    // SetEvent serves as the callback: its context is the event that it sets.
    const callback = system.addressOf('SetEvent');
    const register = system.RegisterWaitForSingleObject;
    expect(register(wait, object, callback, told, 0xffff_ffff, 0)).toBe(1);
    for (let i = 0; i < 3; i++) {
      system.SetEvent(object);
      expect(await system.WaitForSingleObject.async(told, 20 * SECOND)).toBe(0);
    }
    expect(await system.UnregisterWaitEx.async(wait[0], NOTHING)).toBe(1);
    system.SetEvent(object);
    expect(system.WaitForSingleObject(told, 0)).toBe(WAIT_TIMEOUT);
    system.CloseHandle(object);
    system.CloseHandle(told);
  });

  test('the processor time of a thread grows with its work', () => {
    const thread = system.OpenThread(0x0800, 0, system.GetCurrentThreadId());
    const used = (): number => {
      const times = [0, 1, 2, 3].map(() => new Uint32Array(64));
      const [creation, exit, kernel, user] = times as [
        Uint32Array,
        Uint32Array,
        Uint32Array,
        Uint32Array,
      ];
      expect(system.GetThreadTimes(thread, creation, exit, kernel, user)).toBe(1);
      return user[0]! + kernel[0]! + (user[1]! + kernel[1]!) * 2 ** 32;
    };
    const start = used();
    while (used() === start);
    expect(used()).toBeGreaterThan(start);
    system.CloseHandle(thread);
  });

  test('the apartment is entered and left', () => {
    const cookie: [number | bigint] = [0];
    expect(system.CoIncrementMTAUsage(cookie)).toBe(0);
    expect(system.CoDecrementMTAUsage(cookie[0])).toBe(0);
  });

  test.runIf(process.platform === 'linux')('misuse is reported', () => {
    const handle = event(false);
    system.CloseHandle(handle);
    expect(system.CloseHandle(handle)).toBe(0);
    expect(system.GetLastError()).toBe(6);
    expect(Number(system.LocalFree(4096))).toBe(4096);
    system.VirtualFree(GRANULARITY, 0, MEM_RELEASE);
    expect(standIns.misuses()).toEqual(
      expect.arrayContaining([
        `MISUSE CloseHandle: 0x${handle.toString(16)} is not open`,
        'MISUSE LocalFree: it is no block',
        'MISUSE VirtualFree: no memory was allocated there',
      ]),
    );
  });
});
