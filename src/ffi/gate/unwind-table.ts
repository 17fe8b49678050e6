import { type LibraryAbi, returns } from '../abi.ts';
import { NativeLibrary } from '../native-library.ts';
import { systemLibrary } from '../windows-system.ts';

/** Only code that is written at run time needs this, and only where calls unwind by tables. */
const UNWIND_ABI = {
  file: 'kernel32.dll',
  handles: [],
  enums: {},
  structs: {},
  callbacks: {},
  functions: {
    RtlAddFunctionTable: returns(
      'BOOLEAN',
      'Windows 10',
      ['PVOID', 'FunctionTable'],
      ['DWORD', 'EntryCount'],
      ['UINT64', 'BaseAddress'],
    ),
  },
  unbound: {},
} as const satisfies LibraryAbi;

/**
 * Tells Windows how to unwind through generated code: exceptions, debuggers and profilers walk the stack by it.
 * @param table address of `count` RUNTIME_FUNCTION entries, whose numbers are offsets from `base`
 * @throws Error when Windows refuses
 */
export function addUnwindTable(table: number, count: number, base: number): void {
  const add = NativeLibrary.open(systemLibrary('kernel32.dll'), UNWIND_ABI).function(
    'RtlAddFunctionTable',
  );
  if (add(table, count, base) === 0) {
    throw new Error(`Cannot register unwind information of ${count} functions`);
  }
}
