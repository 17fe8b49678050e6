/**
 * How the Windows libraries are described: one table for each library, with types spelled as C spells them on Windows.
 * The declarations for koffi, the generated C headers and the static checks all come from these tables.
 *
 * Types: a scalar of {@link SCALARS}; `PCWSTR` (a JavaScript string goes in); a handle, enum, struct or callback of
 * the table; a pointer, written with one space before the star (`HCS_SYSTEM *`, `const BYTE *`, `const LPCWSTR *`).
 */

/** C type and name of a parameter or of a field. */
export type Member = readonly [type: string, name: string];

/** One export. */
export interface FunctionAbi {
  readonly result: string;
  readonly parameters: readonly Member[];
  /** First Windows that has it, in words that fit after "needs". */
  readonly since: string;
}

/** A function that native code calls. All have the one calling convention of x64. */
export interface CallbackAbi {
  readonly result: 'HRESULT' | 'void';
  readonly parameters: readonly Member[];
}

/** Fields in order; `UINT8[8]` is an array. */
export type StructAbi = readonly Member[];

/** One library. */
export interface LibraryAbi {
  /** `computecore.dll` */
  readonly file: string;
  /** What brings the library, in words that fit after "enable", where a Windows may lack it. */
  readonly feature?: string;
  /** Opaque pointers. */
  readonly handles: readonly string[];
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly structs: Readonly<Record<string, StructAbi>>;
  readonly callbacks: Readonly<Record<string, CallbackAbi>>;
  readonly functions: Readonly<Record<string, FunctionAbi>>;
  /** Exports that are not called, by name, with the reason. */
  readonly unbound: Readonly<Record<string, string>>;
}

/** Scalars: how koffi passes them, and their size, which is also their alignment. */
export const SCALARS = {
  // Unsigned, so that an HRESULT compares with the constants.
  HRESULT: { koffi: 'uint32_t', size: 4 },
  DWORD: { koffi: 'uint32_t', size: 4 },
  ULONG: { koffi: 'uint32_t', size: 4 },
  UINT32: { koffi: 'uint32_t', size: 4 },
  BOOL: { koffi: 'int32_t', size: 4 },
  UINT16: { koffi: 'uint16_t', size: 2 },
  UINT8: { koffi: 'uint8_t', size: 1 },
  BYTE: { koffi: 'uint8_t', size: 1 },
  BOOLEAN: { koffi: 'uint8_t', size: 1 },
  UINT64: { koffi: 'uint64_t', size: 8 },
  SIZE_T: { koffi: 'size_t', size: 8 },
  HANDLE: { koffi: 'uintptr_t', size: 8 },
  PVOID: { koffi: 'void *', size: 8 },
  PCWSTR: { koffi: 'str16', size: 8 },
  LPCWSTR: { koffi: 'str16', size: 8 },
  PWSTR: { koffi: 'uintptr_t', size: 8 },
} as const satisfies Readonly<Record<string, { readonly koffi: string; readonly size: number }>>;

/** The structs that every table may use without declaring them. */
export const BASIC_STRUCTS = {
  GUID: [
    ['UINT32', 'Data1'],
    ['UINT16', 'Data2'],
    ['UINT16', 'Data3'],
    ['UINT8[8]', 'Data4'],
  ],
} as const satisfies Readonly<Record<string, StructAbi>>;

/** Where an out-parameter is stored: pass `[0]`, read element 0 afterwards. */
export type OutCell = [number | bigint];

/** An address, bytes that stay in place during the call, or NULL. */
export type NativePointer = number | bigint | NodeJS.TypedArray | null;

/** A pointer to one of these, or to a handle of the table, is an out-parameter unless it is const. */
type OutScalar = Exclude<keyof typeof SCALARS, 'BYTE' | 'UINT8'>;

type ArgumentOf<Abi extends LibraryAbi, Type extends string> = Type extends 'PCWSTR' | 'LPCWSTR'
  ? string | null
  : Type extends 'PVOID'
    ? NativePointer
    : Type extends `${infer Pointee} *`
      ? Pointee extends OutScalar | Abi['handles'][number]
        ? OutCell
        : NativePointer
      : number | bigint;

type ResultOf<Type extends string> = Type extends 'void'
  ? undefined
  : Type extends 'HRESULT' | 'DWORD' | 'UINT32' | 'ULONG' | 'BOOL'
    ? number
    : number | bigint;

type ArgumentsOf<Abi extends LibraryAbi, Parameters extends readonly Member[]> = {
  -readonly [Index in keyof Parameters]: ArgumentOf<Abi, Parameters[Index][0]>;
};

/** An export as JavaScript calls it. Unsafe integers, and only they, come back as bigint. */
export interface NativeFunction<
  Abi extends LibraryAbi = LibraryAbi,
  Declared extends FunctionAbi = FunctionAbi,
> {
  (...parameters: ArgumentsOf<Abi, Declared['parameters']>): ResultOf<Declared['result']>;
  /**
   * The same call on a thread of Node's pool. Arguments are copied before it returns, except bytes passed by pointer;
   * out-parameters are stored before the promise resolves.
   */
  async(
    ...parameters: ArgumentsOf<Abi, Declared['parameters']>
  ): Promise<ResultOf<Declared['result']>>;
}

type ReceivedOf<Parameters extends readonly Member[]> = {
  -readonly [Index in keyof Parameters]: Parameters[Index][0] extends 'UINT32' | 'DWORD'
    ? number
    : number | bigint;
};

/** What a callback's JavaScript gets: integers, and the address for every pointer and string. */
export type CallbackHandler<Declared extends CallbackAbi = CallbackAbi> = (
  ...parameters: ReceivedOf<Declared['parameters']>
) => Declared['result'] extends 'HRESULT' ? number : void;

/** What a C type turns out to be in a table. */
export type TypeKind =
  | { readonly is: 'void' }
  | { readonly is: 'scalar'; readonly koffi: string; readonly size: number }
  | { readonly is: 'string' }
  | { readonly is: 'address' }
  | { readonly is: 'enum'; readonly signed: boolean }
  | { readonly is: 'struct'; readonly fields: StructAbi }
  | { readonly is: 'pointer'; readonly to: string; readonly constant: boolean };

/** Looks a C type up in a table.
 * @throws TypeError for a type that is neither in the vocabulary nor in the table */
export function typeKind(abi: LibraryAbi, type: string): TypeKind {
  if (type === 'void') return { is: 'void' };
  if (type.endsWith(' *')) {
    const to = type.slice(0, -2).replace(/^(?:const|volatile) /, '');
    return { is: 'pointer', to, constant: type.startsWith('const ') };
  }
  if (type === 'PCWSTR' || type === 'LPCWSTR') return { is: 'string' };
  if (Object.hasOwn(SCALARS, type)) {
    return { is: 'scalar', ...SCALARS[type as keyof typeof SCALARS] };
  }
  if (abi.handles.includes(type) || Object.hasOwn(abi.callbacks, type)) return { is: 'address' };
  const values = abi.enums[type];
  if (values !== undefined) {
    return { is: 'enum', signed: Object.values(values).some((value) => value < 0) };
  }
  const fields = abi.structs[type] ?? (BASIC_STRUCTS as Record<string, StructAbi>)[type];
  if (fields !== undefined) return { is: 'struct', fields };
  throw new TypeError(`Cannot use C type ${type}: ${abi.file} does not declare it`);
}

/** How koffi passes a parameter of this type. */
export function koffiType(abi: LibraryAbi, type: string): string {
  const kind = typeKind(abi, type);
  switch (kind.is) {
    case 'void':
      return 'void';
    case 'scalar':
      return kind.koffi;
    case 'string':
      return 'str16';
    case 'address':
      return 'uintptr_t';
    case 'enum':
      return kind.signed ? 'int32_t' : 'uint32_t';
    case 'struct':
      throw new TypeError(`Cannot pass ${type} by value`);
    case 'pointer':
      return outType(abi, kind.to, kind.constant) ?? 'void *';
  }
}

/** How koffi hands over what native code returns, or passes to a callback: pointers and strings as numbers. */
export function koffiReceivedType(abi: LibraryAbi, type: string): string {
  const kind = typeKind(abi, type);
  if (kind.is === 'pointer' || kind.is === 'string' || type === 'PVOID') return 'uintptr_t';
  return koffiType(abi, type);
}

/** Structs that are only ever pointed to. */
const OPAQUE: readonly string[] = ['OVERLAPPED', 'SECURITY_ATTRIBUTES', 'SECURITY_DESCRIPTOR'];

function outType(abi: LibraryAbi, to: string, constant: boolean): string | undefined {
  if (constant || ['void', 'BYTE', 'UINT8', ...OPAQUE].includes(to)) return undefined;
  const kind = typeKind(abi, to);
  if (kind.is === 'address' || kind.is === 'string' || to === 'PVOID') return '_Out_ uintptr_t *';
  return kind.is === 'scalar' ? `_Out_ ${kind.koffi} *` : undefined;
}

/** Declares an export that returns an HRESULT, as most do. */
export function hresult<const Parameters extends readonly Member[]>(
  since: string,
  ...parameters: Parameters
): { readonly result: 'HRESULT'; readonly parameters: Parameters; readonly since: string } {
  return { result: 'HRESULT', parameters, since };
}

/** Declares an export that returns something else. */
export function returns<const Result extends string, const Parameters extends readonly Member[]>(
  result: Result,
  since: string,
  ...parameters: Parameters
): { readonly result: Result; readonly parameters: Parameters; readonly since: string } {
  return { result, parameters, since };
}

/** Declares a callback. */
export function callback<
  const Result extends CallbackAbi['result'],
  const Parameters extends readonly Member[],
>(
  result: Result,
  ...parameters: Parameters
): { readonly result: Result; readonly parameters: Parameters } {
  return { result, parameters };
}
