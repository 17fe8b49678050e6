import { describe, expect, test } from 'vitest';
import { GATE_CODE, GATE_COMPILERS, GATE_SOURCE_HASH } from '../../src/ffi/gate/gate-code.ts';
import { DEVICE_TABLE, DEVICE_TABLE_BYTES } from '../../src/ffi/gate/gate-layout.ts';
import { gateProgram, installGateProgram } from '../../src/ffi/gate/gate-program.ts';
import { structLayout } from '../../src/ffi/struct-layout.ts';
import { VM_DEVICE_HOST_ABI } from '../../src/hdv/native/vm-device-host-abi.ts';
import { compileGate, compilerVersion, gateSourceHash, hasCompiler } from './gate/compile-gate.ts';
import { GateFixture, system, until } from './gate/gate-fixture.ts';

describe('the machine code of the gate', () => {
  test('is made from gate.c and the layout as they are: else run test/ffi/write-gate-code.ts', () => {
    expect(GATE_SOURCE_HASH).toBe(gateSourceHash());
  });

  test('has an entry for each callback of the device table, in either calling convention', () => {
    const names = Object.keys(GATE_CODE.sysv.entries);
    expect(Object.keys(GATE_CODE.win64.entries).sort()).toEqual([...names].sort());
    expect(names).toEqual(expect.arrayContaining(Object.keys(DEVICE_TABLE)));
  });

  test('is entered through the fields of HDV_PCI_DEVICE_INTERFACE, as the table of vmdevicehost.dll has them', () => {
    const { size, fields } = structLayout(VM_DEVICE_HOST_ABI, 'HDV_PCI_DEVICE_INTERFACE');
    const entryOf = (field: string): string =>
      `gate${field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
    const callbacks = fields.filter(({ name }) => name !== 'Version');
    expect(
      Object.fromEntries(callbacks.map(({ name, offset }) => [entryOf(name), offset])),
    ).toEqual(DEVICE_TABLE);
    expect(size).toBe(DEVICE_TABLE_BYTES);
    const details = structLayout(VM_DEVICE_HOST_ABI, 'HDV_PCI_PNP_ID');
    expect(details.size).toBe(12);
  });

  test('is refused by name where a policy lets nobody make code', () => {
    const guarded = Object.create(system, {
      VirtualProtect: { value: (_address: number, _size: number, to: number) => +(to !== 0x20) },
    }) as typeof system;
    expect(() => gateProgram(guarded)).toThrow(/Arbitrary Code Guard.*turn .* off for node\.exe/);
    const exhausted = Object.create(system, {
      VirtualAlloc: { value: () => null },
    }) as typeof system;
    expect(() => gateProgram(exhausted)).toThrow(
      /Cannot allocate \d+ bytes: Windows has no memory/,
    );
  });

  test('has unwind information for every function of the Windows convention', () => {
    const { bytes, entries, unwindOffset, unwindCount } = GATE_CODE.win64;
    const code = Buffer.from(bytes, 'base64');
    const covered = Array.from({ length: unwindCount }, (_, i) => {
      const at = unwindOffset + 12 * i;
      return [code.readUInt32LE(at), code.readUInt32LE(at + 4), code.readUInt32LE(at + 8)] as const;
    });
    for (const offset of Object.values(entries)) {
      expect(covered.map(([begin]) => begin)).toContain(offset);
    }
    for (const [begin, end, info] of covered) {
      expect(begin).toBeLessThan(end);
      expect(info).toBeLessThan(unwindOffset);
      // UNWIND_INFO: version 1, no flags.
      expect(code[info]).toBe(1);
    }
    expect(covered.map(([begin]) => begin)).toEqual(covered.map(([b]) => b).sort((a, b) => a - b));
  });

  if (process.platform === 'linux') {
    for (const target of ['sysv', 'win64'] as const) {
      // Another compiler makes other code of it, which is as good.
      if (compilerVersion(target) !== GATE_COMPILERS[target]) continue;
      test(`is byte for byte what ${GATE_COMPILERS[target]} makes of gate.c`, () => {
        expect(compileGate(target)).toEqual(GATE_CODE[target]);
      });
    }

    test.runIf(hasCompiler('sysv'))('serves when it is compiled here, too', async () => {
      const compiledHere = Object.create(system) as typeof system;
      installGateProgram(compiledHere, compileGate('sysv'));
      await using fixture = new GateFixture(compiledHere);
      await fixture.serve();
      const run = fixture.start(4, 500);
      await until(
        () => `${run.done} of 2000 calls returned`,
        () => run.live === 0,
      );
      expect([run.done, run.failed, run.wrong]).toEqual([2000, 0, 0]);
    });

    test.runIf(hasCompiler('win64'))('can be compiled here for Windows', () => {
      const { entries, unwindCount } = compileGate('win64');
      expect(Object.keys(entries).sort()).toEqual(Object.keys(GATE_CODE.win64.entries).sort());
      expect(unwindCount).toBeGreaterThanOrEqual(Object.keys(entries).length);
    });
  }
});
