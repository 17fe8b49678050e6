import { describe, expect, test } from 'vitest';
import { GATE_CODE, GATE_SOURCE_HASH } from '../../src/ffi/gate/gate-code.ts';
import { DEVICE_TABLE } from '../../src/ffi/gate/gate-layout.ts';
import { installGateProgram } from '../../src/ffi/gate/gate-program.ts';
import { compileGate, gateSourceHash, hasCompiler } from './gate/compile-gate.ts';
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
