import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OutCell } from '../../src/ffi/abi.ts';
import { libraryFile } from '../../src/ffi/library-file.ts';
import { NativeLibrary } from '../../src/ffi/native-library.ts';
import { NativeLibraryError, NotSupportedError } from '../../src/ffi/native-library-error.ts';
import { readStructAt } from '../../src/ffi/native-struct.ts';
import { structBytes, structLayout } from '../../src/ffi/struct-layout.ts';
import { windowsSystem } from '../../src/ffi/windows-system.ts';
import { hasProbe, PROBE_ABI, probeLibrary } from './abi-probe.ts';

const windows = process.platform === 'win32';

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('Nothing was thrown');
}

describe.runIf(hasProbe)('a library', () => {
  let path: string;
  let probe: NativeLibrary<typeof PROBE_ABI>;
  beforeAll(() => {
    path = probeLibrary();
    probe = NativeLibrary.open(path, PROBE_ABI);
  });
  afterAll(() => {
    if (!windows) rmSync(dirname(path), { recursive: true, force: true });
  });
  const length = (text: string | null): number => probe.function('ProbeLength')(text);

  test('takes strings as UTF-16', () => {
    expect([length(''), length('abc'), length('a\u{1f600}b'), length(null)]).toEqual([
      0, 3, 4, 0xffff_ffff,
    ]);
    const unit = probe.function('ProbeUnit');
    expect([unit('ä\u{1f600}', 0), unit('ä\u{1f600}', 1), unit('ä\u{1f600}', 2)]).toEqual([
      0xe4, 0xd83d, 0xde00,
    ]);
  });

  test('takes unpaired surrogates as they are, and long documents', async () => {
    expect(probe.function('ProbeUnit')('x\ud800', 1)).toBe(0xd800);
    const long = 'ü'.repeat(3_000_000);
    expect(length(long)).toBe(3_000_000);
    expect(await probe.function('ProbeLength').async(long)).toBe(3_000_000);
  });

  test('refuses a string that would be cut short, or that is none', async () => {
    expect(() => length('a\0b')).toThrow('Cannot call ProbeLength: text contains a NUL character');
    const calls = probe.function('ProbeLength') as unknown as {
      (text: unknown): number;
      async(text: unknown): Promise<number>;
    };
    expect(() => calls(4096)).toThrow('Cannot call ProbeLength: text must be a string or null');
    await expect(calls.async(undefined)).rejects.toThrow('must be a string or null');
  });

  test('gives results unsigned, and as bigint only what no number holds', () => {
    expect(probe.function('ProbeResult')(0x8037_0105)).toBe(0x8037_0105);
    expect(probe.function('ProbeWide')(2 ** 53 - 1)).toBe(2 ** 53 - 1);
    expect(probe.function('ProbeWide')(0xffff_ffff_ffff_ffffn)).toBe(0xffff_ffff_ffff_ffffn);
    expect(probe.function('ProbeSigned')(-1)).toBe(-1);
  });

  test('stores out-parameters, also those of a call on another thread', async () => {
    const expected = [[0x7fff_1234_5678], [0xfedc_ba98_7654_3210n], [0x89ab_cdef]];
    const cells: [OutCell, OutCell, OutCell] = [[0], [0], [0]];
    expect(probe.function('ProbeOut')(0x7fff_1234_5678, ...cells)).toBe(0);
    expect(cells).toEqual(expected);
    const others: [OutCell, OutCell, OutCell] = [[0], [0], [0]];
    expect(await probe.function('ProbeOut').async(0x7fff_1234_5678n, ...others)).toBe(0);
    expect(others).toEqual(expected);
  });

  test('writes into bytes in place, from the offset of the array', () => {
    const bytes = new Uint8Array(100);
    probe.function('ProbeFill')(bytes.subarray(10), 4);
    expect([...bytes.subarray(8, 16)]).toEqual([0, 0, 1, 2, 3, 4, 0, 0]);
    const small = new Uint8Array(3);
    probe.function('ProbeFill')(small, 3);
    expect([...small]).toEqual([1, 2, 3]);
  });

  test('takes addresses as number, bigint or null', () => {
    const pointer = probe.function('ProbePointer');
    expect([pointer(4096), pointer(4096n), pointer(null), pointer(0)]).toEqual([4096, 4096, 0, 0]);
  });

  test('reads structs where they were laid out', () => {
    const layout = structLayout(PROBE_ABI, 'ProbeRecord');
    const record = structBytes(layout, { first: 200, second: 1 << 20, third: 60_000, fourth: -1 });
    expect(probe.function('ProbeSum')(record)).toBe(200 + (1 << 20) + 60_000 - 1);
  });

  test('gives structs by address, which are copied', () => {
    const layout = structLayout(PROBE_ABI, 'ProbeRecord');
    const values = { first: 1, second: 0xffff_ffff_ffff_fff0n, third: 3, fourth: -1 };
    const record = structBytes(layout, values);
    const address = probe.function('ProbePointer')(record);
    expect(readStructAt(layout, address)).toEqual(values);
  });

  test('keeps what an asynchronous call points to', async () => {
    const filled: Uint8Array[] = [];
    const calls = Array.from({ length: 50 }, () => {
      const bytes = new Uint8Array(100_000);
      filled.push(bytes.subarray(0, 2));
      return probe.function('ProbeFill').async(bytes, bytes.length);
    });
    expect(await Promise.all(calls)).toEqual(calls.map(() => 0));
    for (const bytes of filled) expect([...bytes]).toEqual([1, 2]);
  });

  test('leaves strings that it returns to the caller, who frees them once', () => {
    const system = windowsSystem(windows ? undefined : path);
    const freed = probe.function('ProbeAllocated');
    const before = Number(freed());
    const texts = ['', 'plain', 'a\u{1f600}\ud800z', 'ß'.repeat(100_000)].map((text) => {
      const copy: OutCell = [0];
      expect(probe.function('ProbeEcho')(text, copy)).toBe(0);
      return [text, system.takeString(copy[0])];
    });
    for (const [given, taken] of texts) expect(taken).toBe(given);
    if (!windows) expect(Number(freed())).toBe(before);
    const none: OutCell = [1];
    probe.function('ProbeEcho')(null, none);
    expect(system.takeString(none[0])).toBeNull();
  });

  test('in place of the system fails only the calls of what it lacks', async () => {
    const system = windowsSystem(path);
    expect(() => system.SetEvent(0)).toThrow(`${path} does not export it: it needs Windows 10`);
    await expect(system.SetEvent.async(0)).rejects.toThrow('Cannot call SetEvent');
    expect(() => system.addressOf('SetEvent')).toThrow(NotSupportedError);
  });

  test('fails only the call of an export that it lacks, and names the Windows that has it', () => {
    const error = thrownBy(() => probe.function('ProbeAbsent'));
    expect(error).toBeInstanceOf(NotSupportedError);
    expect(error).toMatchObject({
      function: 'ProbeAbsent',
      since: 'Windows 99',
      message: `Cannot call ProbeAbsent as ${path} does not export it: it needs Windows 99`,
    });
    expect([probe.has('ProbeAbsent'), probe.has('ProbeEcho')]).toEqual([false, true]);
    expect(() => probe.bindAll()).not.toThrow();
    expect(length('still')).toBe(5);
  });

  test('does not call what has no known signature, or is in no table', () => {
    const open = probe as unknown as { function(name: string): unknown };
    expect(thrownBy(() => open.function('ProbeSecret'))).toMatchObject({
      name: 'NotSupportedError',
      since: undefined,
      message: 'Cannot call ProbeSecret as its signature is not published',
    });
    expect(() => open.function('ProbeOther')).toThrow('abi-probe.dll does not declare it');
  });

  test('gives the address of an export', () => {
    expect(probe.addressOf('ProbeEcho')).toBeGreaterThan(0);
    expect(() => probe.addressOf('ProbeAbsent')).toThrow(NotSupportedError);
  });

  test('binds a function once', () => {
    expect(probe.function('ProbeWide')).toBe(probe.function('ProbeWide'));
  });
});

describe('a library that cannot be loaded', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hdvkit-library-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const load = (name: string, bytes?: Uint8Array): unknown => {
    const path = join(folder, name);
    if (bytes !== undefined) writeFileSync(path, bytes);
    return thrownBy(() => NativeLibrary.open(path, PROBE_ABI).function('ProbeWide'));
  };

  test('is not missed before it is needed', () => {
    expect(() => NativeLibrary.open(join(folder, 'none.dll'), PROBE_ABI)).not.toThrow();
  });

  test('says that there is no such file', () => {
    const error = load('none.dll');
    expect(error).toBeInstanceOf(NativeLibraryError);
    expect(error).toMatchObject({
      problem: 'missing',
      message: `Cannot load ${join(folder, 'none.dll')}: no such file`,
    });
    expect((error as Error).cause).toBeInstanceOf(Error);
  });

  const [head, x86, arm] = windows
    ? [(machine: number) => peFile(machine), 0x014c, 0x01c4]
    : [(machine: number) => elfFile(1, machine), 3, 40];
  test.each([
    ['x86.dll', head(x86), '32-bit library for ia32'],
    ['arm.dll', head(arm), '32-bit library for arm'],
    ['other.dll', head(0x0166), `32-bit library for machine ${windows ? '0x166' : '358'}`],
  ])('says what %s was built for', (name, bytes, reason) => {
    expect(load(name, bytes)).toMatchObject({
      problem: 'architecture',
      message: `Cannot load ${join(folder, name)}: it is a ${reason}, this is Node for ${process.arch}`,
    });
  });

  test('says that it was built for another system', () => {
    const [theirs, ours] = windows ? ['ELF', 'PE'] : ['PE', 'ELF'];
    const bytes = windows ? elfFile(2, 62) : peFile(0x8664);
    expect(load('foreign.dll', bytes)).toMatchObject({
      problem: 'architecture',
      message: `Cannot load ${join(folder, 'foreign.dll')}: it is a library of the format ${theirs}, ${process.platform} has ${ours}`,
    });
  });

  test.each([
    ['text.dll', Buffer.from('no library at all, but long enough to be looked at by everything')],
    ['empty.dll', new Uint8Array(0)],
    ['cut.dll', peFile(0x014c).subarray(0, 70)],
    ['far.dll', peFile(0x014c, 0xffff_fff0)],
  ])('passes on what the system says of %s', (name, bytes) => {
    expect(load(name, bytes)).toMatchObject({ name: 'NativeLibraryError', problem: 'unusable' });
  });

  test('may be a folder', () => {
    expect(thrownBy(() => NativeLibrary.open(folder, PROBE_ABI).load())).toMatchObject({
      problem: 'unusable',
    });
  });

  test('is told apart by its head, as is Node itself', () => {
    expect(libraryFile(process.execPath)).toEqual({
      format: windows ? 'PE' : 'ELF',
      architecture: process.arch,
      bits: 64,
    });
  });

  test.each([
    [elfFile(1, 3), { format: 'ELF', architecture: 'ia32', bits: 32 }],
    [elfFile(2, 243), { format: 'ELF', architecture: 'riscv64', bits: 64 }],
    [peFile(0x014c), { format: 'PE', architecture: 'ia32', bits: 32 }],
    [peFile(0xaa64), { format: 'PE', architecture: 'arm64', bits: 64 }],
  ])('is told apart on every system (%#)', (bytes, expected) => {
    const path = join(folder, 'head.bin');
    writeFileSync(path, bytes);
    expect(libraryFile(path)).toEqual(expected);
  });
});

/** The head of a 32-bit PE file: DOS header, signature, file header, magic of the optional header. */
function peFile(machine: number, at = 0x80): Uint8Array {
  const bytes = Buffer.alloc(512);
  bytes.write('MZ', 0, 'latin1');
  bytes.writeUInt32LE(at, 0x3c);
  if (at < 400) {
    bytes.write('PE\0\0', at, 'latin1');
    bytes.writeUInt16LE(machine, at + 4);
    bytes.writeUInt16LE(0x10b, at + 24);
  }
  return bytes;
}

/** The head of a little-endian ELF shared object. */
function elfFile(elfClass: 1 | 2, machine: number): Uint8Array {
  const bytes = Buffer.alloc(512);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, elfClass, 1, 1]);
  bytes.writeUInt16LE(3, 16);
  bytes.writeUInt16LE(machine, 18);
  bytes.writeUInt32LE(1, 20);
  return bytes;
}
