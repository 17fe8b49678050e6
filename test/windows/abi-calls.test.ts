import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LibraryAbi, type OutCell, SCALARS, typeKind } from '../../src/ffi/abi.ts';
import { registerCallback } from '../../src/ffi/native-callback.ts';
import { koffi } from '../../src/ffi/native-config.ts';
import { NativeLibrary } from '../../src/ffi/native-library.ts';
import { buildEcho, ECHO_RESULT, ECHOED, echoHash, echoValue, isOut } from './abi-echo.ts';

const windows = process.platform === 'win32';
const canRun = windows || process.env.CI === 'true' || spawnSync('gcc', ['--version']).status === 0;
if (!canRun) console.log('Not tested against an echo in C: gcc is not installed');

const functions = ECHOED.flatMap((abi) =>
  Object.keys(abi.functions).map((name) => [name, abi] as const),
);
const callbacks = ECHOED.flatMap((abi) =>
  Object.keys(abi.callbacks).map((name) => [name, abi] as const),
);

/** The low bits of a value that a type has, as this package hands them over. */
function received(abi: LibraryAbi, type: string, value: bigint): number | bigint {
  const kind = typeKind(abi, type);
  const size = kind.is === 'enum' ? 4 : kind.is === 'scalar' ? kind.size : 8;
  const signed = (kind.is === 'enum' && kind.signed) || type === 'BOOL';
  const bits = signed ? BigInt.asIntN(8 * size, value) : BigInt.asUintN(8 * size, value);
  return bits <= Number.MAX_SAFE_INTEGER ? Number(bits) : bits;
}

describe.runIf(canRun)('as C compiled from the tables sees it', () => {
  let folder: string | undefined;
  let path: string;
  let counted: () => number;
  let noted: (index: number) => number | bigint;
  beforeAll(() => {
    if (windows) {
      path = fileURLToPath(new URL('abi-echo.dll', import.meta.url));
    } else {
      folder = mkdtempSync(join(tmpdir(), 'hdvkit-calls-'));
      path = join(folder, 'abi-echo.so');
      buildEcho('elf', path);
    }
    const library = koffi.load(path);
    counted = library.func('EchoCount', 'uint32_t', []) as unknown as () => number;
    noted = library.func('EchoNoted', 'uint64_t', ['uint32_t']) as unknown as typeof noted;
  });
  afterAll(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  /** An argument of a type, what C should have seen of it, and what the cell should hold afterwards. */
  function argument(abi: LibraryAbi, type: string, index: number) {
    const kind = typeKind(abi, type);
    const value = echoValue(index);
    if (kind.is === 'string') {
      const text = `${type} ${index} \u00fc\u{1f600}\ud800`;
      return { passed: text, seen: echoHash(text) };
    }
    if (isOut(abi, type)) {
      const to = type.slice(0, -2);
      const stored = received(abi, typeKind(abi, to).is === 'string' ? 'PVOID' : to, value);
      return { passed: [0] as OutCell, seen: 1n, stored: [stored] };
    }
    const small = kind.is === 'enum' || (kind.is === 'scalar' && kind.size < 8);
    if (small) {
      const passed = received(abi, type, value);
      return { passed, seen: BigInt.asUintN(32, BigInt(passed)) };
    }
    return { passed: value, seen: value };
  }

  test.each(functions)('%s gets each argument, and gives its result', async (name, abi) => {
    const declared = abi.functions[name];
    if (declared === undefined) throw new Error(name);
    const call = NativeLibrary.open(path, abi).function(name) as unknown as {
      (...parameters: unknown[]): unknown;
      async(...parameters: unknown[]): Promise<unknown>;
    };
    const result =
      declared.result === 'void' ? undefined : received(abi, declared.result, ECHO_RESULT);
    for (const run of [call, call.async]) {
      const given = declared.parameters.map(([type], index) => argument(abi, type, index));
      const returned = await run(...given.map(({ passed }) => passed));
      expect(returned ?? undefined).toBe(result);
      expect(counted()).toBe(given.length);
      expect(given.map((_, index) => BigInt(noted(index)))).toEqual(given.map(({ seen }) => seen));
      for (const { passed, stored } of given) if (stored) expect(passed).toEqual(stored);
    }
  });

  test.each(callbacks)('%s is given each argument, and its answer arrives', (name, abi) => {
    const declared = abi.callbacks[name];
    if (declared === undefined) throw new Error(name);
    let given: unknown[] = [];
    const address = registerCallback(abi, name, (...parameters) => {
      given = parameters;
      return 0x8037_0110;
    });
    const call = koffi.load(path).func(`EchoCall_${name}`, 'uint32_t', ['uintptr_t']);
    expect(call(address)).toBe(declared.result === 'void' ? 0 : 0x8037_0110);
    const expected = declared.parameters.map(([type], index) => {
      const isAddress = type.endsWith('*') || !(type in SCALARS || type in abi.enums);
      return received(abi, isAddress ? 'PVOID' : type, echoValue(index));
    });
    expect(given).toEqual(expected);
  });
});
