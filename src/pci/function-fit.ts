import type { FunctionShape } from './device-callbacks.ts';
import { GuestSetup } from './guest-setup.ts';

/** What a guest has found out about a function and relies on. */
export interface FunctionFace {
  readonly shape: FunctionShape;
  /** Memory of the function's {@link GuestSetup}. */
  readonly setup: SharedArrayBuffer;
}

/** Fields of the header that identify a function: name, byte offset, bytes (PCIe 6.0, 7.5.1). */
const IDENTITY = [
  ['vendor id', 0x00, 2],
  ['device id', 0x02, 2],
  ['revision', 0x08, 1],
  ['class code', 0x09, 3],
  ['subsystem vendor id', 0x2c, 2],
  ['subsystem id', 0x2e, 2],
] as const;

/**
 * Can a function take the place of another one under a running guest? It must look the same: identity, BARs, kind of
 * interrupts, and every bit of configuration space that the guest cannot write.
 * @returns what differs, to be said after "Cannot put it in place: "; undefined when it fits
 */
export function misfit(present: FunctionFace, fresh: FunctionFace): string | undefined {
  const [old, next] = [GuestSetup.of(present.setup), GuestSetup.of(fresh.setup)];
  for (const [name, offset, bytes] of IDENTITY) {
    const [was, is] = [field(old, offset, bytes), field(next, offset, bytes)];
    if (was !== is) return `its ${name} is ${hex(is)}, and the guest knows ${hex(was)}`;
  }
  return (
    // First: MSI-X adds to the BARs.
    interruptMisfit(present.shape, fresh.shape) ??
    barMisfit(present.shape, fresh.shape) ??
    structureMisfit(present.shape, fresh.shape) ??
    configMisfit(old, next)
  );
}

function barMisfit(present: FunctionShape, fresh: FunctionShape): string | undefined {
  for (let slot = 0; slot < 6; slot++) {
    const was = describeBar(present, slot);
    const is = describeBar(fresh, slot);
    if (was !== is) return `its BAR ${slot} is ${is}, and the guest knows ${was}`;
  }
  const [was, is] = [JSON.stringify(present.mapped), JSON.stringify(fresh.mapped)];
  return was === is ? undefined : 'its mapped pages are elsewhere, and the guest has mapped them';
}

function describeBar({ bars }: FunctionShape, slot: number): string {
  const bar = bars.find((candidate) => candidate.slot === slot);
  if (bar === undefined) return 'absent';
  const { is64Bit, prefetchable, size } = bar;
  const kind = `${is64Bit ? '64' : '32'}-bit${prefetchable ? ', prefetchable' : ''}`;
  return `${hex(size)} bytes (${kind})`;
}

function interruptMisfit(present: FunctionShape, fresh: FunctionShape): string | undefined {
  const [was, is] = [describeInterrupts(present), describeInterrupts(fresh)];
  return was === is ? undefined : `it interrupts by ${is}, and the guest knows ${was}`;
}

function structureMisfit(present: FunctionShape, fresh: FunctionShape): string | undefined {
  const same = JSON.stringify(present.interrupts) === JSON.stringify(fresh.interrupts);
  return same ? undefined : 'its MSI or MSI-X structures are elsewhere than the guest knows them';
}

function describeInterrupts({ interrupts }: FunctionShape): string {
  const { kind } = interrupts;
  if (kind === 'none') return 'nothing';
  return 'count' in interrupts ? `${kind}(${interrupts.count})` : `${kind}()`;
}

function configMisfit(old: GuestSetup, next: GuestSetup): string | undefined {
  if (old.words.length !== next.words.length) {
    return `its configuration space has ${next.words.length * 4} bytes, and the guest knows ${old.words.length * 4}`;
  }
  for (let dword = 0; dword < old.words.length; dword++) {
    const fixedBefore = ~(old.writable[dword]! | old.live[dword]!);
    const fixed = ~(next.writable[dword]! | next.live[dword]!);
    const was = old.initial[dword]!;
    const is = next.initial[dword]!;
    if (fixedBefore === fixed && ((was ^ is) & fixed) === 0) continue;
    return `its configuration space differs at ${hex(dword * 4)}, which the guest has read: ${hex(is)} instead of ${hex(was)}`;
  }
  return undefined;
}

function field({ initial }: GuestSetup, offset: number, bytes: number): number {
  let value = 0;
  for (let i = 0; i < bytes; i++) {
    const at = offset + i;
    value |= ((initial[at >>> 2]! >>> ((at & 3) * 8)) & 0xff) << (8 * i);
  }
  return value;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
