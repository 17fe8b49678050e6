/** Writes src/ffi/gate/gate-code.ts from gate.c. Run it, then `npm run fix`, after a change of gate.c or gate-layout.ts. */
import { writeFileSync } from 'node:fs';
import {
  type CompiledGate,
  compileGate,
  compilerVersion,
  gateSourceHash,
} from './gate/compile-gate.ts';

const targets = { sysv: compileGate('sysv'), win64: compileGate('win64') };
const names = Object.keys(targets.sysv.entries);

const base64 = (bytes: string): string =>
  bytes
    .match(/.{1,92}/g)!
    .map((line) => `      '${line}'`)
    .join(' +\n');

const code = ({ bytes, entries, unwindOffset, unwindCount }: CompiledGate): string => `{
    bytes:
${base64(bytes)},
    entries: {
${names.map((name) => `      ${name}: ${entries[name]},`).join('\n')}
    },
    unwindOffset: ${unwindOffset},
    unwindCount: ${unwindCount},
  }`;

writeFileSync(
  new URL('../../src/ffi/gate/gate-code.ts', import.meta.url),
  `// Longer than most files: machine code, written by test/ffi/write-gate-code.ts from gate.c and gate-layout.ts.

/** Functions of gate.c that native threads enter. */
export type GateEntry =
${names.map((name) => `  | '${name}'`).join('\n')};

/** Position-independent x64 code for one calling convention. */
export interface GateCode {
  /** Base64. */
  readonly bytes: string;
  /** Offset of each function in the bytes. */
  readonly entries: Readonly<Record<GateEntry, number>>;
  /** Where the RUNTIME_FUNCTION entries begin in the bytes, and how many there are. */
  readonly unwindOffset: number;
  readonly unwindCount: number;
}

/** SHA-256 of what the code was made from. */
export const GATE_SOURCE_HASH =
  '${gateSourceHash()}';

/** What compiled it: the same compiler makes the same bytes. */
export const GATE_COMPILERS = {
  sysv: '${compilerVersion('sysv')}',
  win64: '${compilerVersion('win64')}',
} as const;

/** gate.c, compiled. */
export const GATE_CODE: { readonly sysv: GateCode; readonly win64: GateCode } = {
  sysv: ${code(targets.sysv)},
  win64: ${code(targets.win64)},
};
`,
);
