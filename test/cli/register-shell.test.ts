import { describe, expect, test } from 'vitest';
import { RegisterShell } from '../../src/cli/register-shell.ts';
import { bits, mmio, msix, PciDevice, registerMap, u8, u16, u32, u64 } from '../../src/index.ts';
import { SimulatedGuestAccess } from '../../src/testing/simulated-guest-access.ts';
import { SimulatedVm } from '../../src/testing.ts';

const MAP = registerMap({
  CONTROL: u32(0x0, { fields: { MODE: bits(4, 2) } }),
  LANE: u16(0x8, { count: 2 }),
  WIDE: u64(0x10),
  BELL: u8(0x20, { access: 'wo' }),
});

class Shown extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x5e11, classCode: 0xff0000 };
  override readonly interrupts = msix(2);
  readonly regs = MAP.bind({ BELL: { write: (value) => this.interrupts.raise(value) } });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
}

async function shell(): Promise<(line: string) => Promise<string | undefined>> {
  const vm = new SimulatedVm();
  const device = new Shown();
  vm.plug(device);
  const guest = new SimulatedGuestAccess(vm.machine);
  const fn = await guest.open({ vendorId: 0x1234, deviceId: 0x5e11 });
  await fn.enableInterrupts('msix', 2);
  const made = new RegisterShell(guest, fn, device);
  return (line) => made.run(line);
}

describe('the register shell', () => {
  test('reads and writes registers by name, and shows the fields', async () => {
    const run = await shell();
    expect(await run('write CONTROL 0x21')).toBe('');
    expect(await run('read CONTROL')).toBe('0x00000021  MODE=2');
  });

  test('reaches elements of arrays, 64-bit registers, and plain offsets', async () => {
    const run = await shell();
    await run('write LANE[1] 7');
    expect(await run('read LANE[1]')).toBe('0x0007');
    expect(await run('read 0+0xa/2')).toBe('0x0007');
    await run('write WIDE 0x1122334455667788');
    expect(await run('read WIDE')).toBe('0x1122334455667788');
    await run('write 0+0 -1');
    expect(await run('read 0+0')).toBe('0xffffffff');
  });

  test('shows the interrupts that came, once', async () => {
    const run = await shell();
    await run('write BELL 1');
    expect(await run('interrupts')).toBe('1');
    expect(await run('interrupts')).toBe('none');
  });

  test('lists the registers', async () => {
    const run = await shell();
    expect(await run('registers')).toContain('  0+0x10       64  rw   WIDE');
  });

  test('is left by quit', async () => {
    const run = await shell();
    expect(await run('quit')).toBeUndefined();
  });

  test.each([
    ['peek 1', 'Cannot run peek: there is no such command; try help'],
    ['read NOTHING', 'Cannot find NOTHING: give the name of a register, or BAR+OFFSET as 0+0x20'],
    ['write CONTROL x', 'Cannot read the number x: write it as 42 or 0x2a'],
  ])('says of %j what is wrong with it', async (line, message) => {
    const run = await shell();
    await expect(run(line)).rejects.toThrow(message);
  });
});
