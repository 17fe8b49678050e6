/** Compiles gate.c into bytes that run anywhere: needs gcc, and mingw-w64's gcc for Windows. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gateHeader } from './gate-header.ts';

/** Machine code for one calling convention. */
export interface CompiledGate {
  /** Base64. */
  readonly bytes: string;
  /** Offset of each entry in the bytes. */
  readonly entries: Readonly<Record<string, number>>;
  /** Where RUNTIME_FUNCTION entries begin in the bytes, and how many there are. */
  readonly unwindOffset: number;
  readonly unwindCount: number;
}

const SOURCE = fileURLToPath(new URL('../../../src/ffi/gate/gate.c', import.meta.url));

const FLAGS = [
  '-std=c11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-ident',
  // No calls to memcpy, no tables, no state of floating point, nothing but code in the object file.
  '-fno-tree-loop-distribute-patterns -fno-tree-vectorize -fno-jump-tables -mgeneral-regs-only',
  '-fno-stack-protector -fcf-protection=none -fomit-frame-pointer -falign-functions=16',
]
  .join(' ')
  .split(' ');

const TARGETS = {
  sysv: {
    compiler: 'gcc',
    flags: ['-fPIC', '-fvisibility=hidden', '-fno-asynchronous-unwind-tables'],
    objcopy: 'objcopy',
    objdump: 'objdump',
  },
  win64: {
    compiler: 'x86_64-w64-mingw32-gcc',
    flags: [],
    objcopy: 'x86_64-w64-mingw32-objcopy',
    objdump: 'x86_64-w64-mingw32-objdump',
  },
} as const;

/** A calling convention of x64. */
export type GateTarget = keyof typeof TARGETS;

/** What the code is made from: changes when the source, the layout or the options do. */
export function gateSourceHash(): string {
  const hash = createHash('sha256');
  for (const part of [readFileSync(SOURCE, 'utf8'), gateHeader(), FLAGS.join(' ')])
    hash.update(part);
  return hash.digest('hex');
}

/** What the compiler for a calling convention says that it is; undefined when this machine has none. */
export function compilerVersion(target: GateTarget): string | undefined {
  try {
    const text = execFileSync(TARGETS[target].compiler, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return text.slice(0, text.indexOf('\n')).trim();
  } catch {
    return undefined;
  }
}

/** Whether this machine can compile for a calling convention. */
export function hasCompiler(target: GateTarget): boolean {
  return compilerVersion(target) !== undefined;
}

/** @throws Error when the compiler complains, or left anything but code */
export function compileGate(target: GateTarget): CompiledGate {
  const { compiler, flags, objcopy, objdump } = TARGETS[target];
  const folder = mkdtempSync(join(tmpdir(), 'gate-'));
  try {
    writeFileSync(join(folder, 'gate.h'), gateHeader());
    const object = join(folder, 'gate.o');
    execFileSync(compiler, [...FLAGS, ...flags, '-I', folder, '-c', SOURCE, '-o', object]);
    const read = (...options: string[]): string =>
      execFileSync(objdump, [...options, object], { encoding: 'utf8' });
    const section = (name: string): Buffer => {
      const file = join(folder, 'section');
      writeFileSync(file, '');
      execFileSync(objcopy, ['-O', 'binary', '-j', name, object, file]);
      return readFileSync(file);
    };
    return assemble(read('-h'), read('-t'), read('-r'), section);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Code, then unwind codes, then the table of functions, whose numbers are offsets in the whole. */
function assemble(
  headers: string,
  symbols: string,
  relocations: string,
  section: (name: string) => Buffer,
): CompiledGate {
  const sizes = new Map<string, number>();
  for (const [, name, size] of headers.matchAll(/^\s*\d+ (\S+)\s+([\da-f]{8})/gm)) {
    sizes.set(name!, Number.parseInt(size!, 16));
  }
  const known = ['.text', '.xdata', '.pdata', '.note.GNU-stack'];
  for (const [name, size] of sizes) {
    if (size > 0 && !known.includes(name)) throw new Error(`Cannot use section ${name} of gate.c`);
  }
  const parts = ['.text', '.xdata', '.pdata'].map((name) =>
    sizes.has(name) ? section(name) : Buffer.alloc(0),
  );
  const [text, xdata, pdata] = parts as [Buffer, Buffer, Buffer];
  const base: Record<string, number> = { '.text': 0, '.xdata': align(text.length) };
  const unwindOffset = base['.xdata']! + align(xdata.length);
  for (const line of relocations.matchAll(/^([\da-f]{16})\s+(\S+)\s+(\S+)$/gm)) {
    const [, at, type, symbol] = line;
    if (type !== 'IMAGE_REL_AMD64_ADDR32NB' || base[symbol!] === undefined) {
      throw new Error(`Cannot use relocation ${type} against ${symbol} of gate.c`);
    }
    const offset = Number.parseInt(at!, 16);
    pdata.writeUInt32LE(pdata.readUInt32LE(offset) + base[symbol!]!, offset);
  }
  const bytes = Buffer.alloc(unwindOffset + pdata.length, 0xcc);
  bytes.set(text);
  bytes.set(xdata, base['.xdata']);
  bytes.set(pdata, unwindOffset);
  return {
    bytes: bytes.toString('base64'),
    entries: entriesOf(symbols),
    unwindOffset,
    unwindCount: pdata.length / 12,
  };
}

/** Both forms of `objdump -t`: ELF has the value first, PE at the end. */
function entriesOf(symbols: string): Record<string, number> {
  const entries: Record<string, number> = {};
  for (const line of symbols.split('\n')) {
    const name = /\b(gate_\w+)\s*$/.exec(line)?.[1];
    const value = /\b([\da-f]{16})\b(?=.*\.text)|0x([\da-f]{16})/.exec(line);
    if (name !== undefined && value !== null) {
      entries[name] = Number.parseInt(value[1] ?? value[2]!, 16);
    }
  }
  return Object.fromEntries(Object.entries(entries).sort(([, a], [, b]) => a - b));
}

function align(length: number): number {
  return Math.ceil(length / 16) * 16;
}
