import type { GuestAccess, GuestFunction } from '../testing/guest-access.ts';

/** The edu device's numbers as its documentation has them (QEMU, docs/specs/edu.rst): what a driver knows. */
export const Edu = {
  VENDOR: 0x1234,
  DEVICE: 0x11e8,
  BAR: 0,
  ID: 0x00,
  LIVENESS: 0x04,
  FACTORIAL: 0x08,
  STATUS: 0x20,
  STATUS_IRQ_WHEN_DONE: 0x80,
  DMA_SOURCE: 0x80,
  DMA_TARGET: 0x88,
  DMA_COUNT: 0x90,
  DMA_COMMAND: 0x98,
  COMMAND_RUN: 0x1,
  COMMAND_TO_GUEST: 0x2,
  COMMAND_IRQ: 0x4,
  BUFFER: 0x4_0000,
  VECTOR_FACTORIAL: 0,
  VECTOR_DMA: 1,
} as const;

const INTERRUPT_LIMIT_MS = 10_000;

/** Where the program says what it does. */
export interface DemoOutput {
  /** A new part of the program. */
  heading(text: string): Promise<void>;
  /** What the guest found, after the accesses that it made for it have been shown. */
  result(text: string): Promise<void>;
}

/**
 * The guest's program: enumerates the bus, uses registers, runs a DMA copy there and back, and takes the interrupts.
 * The same on every host.
 * @returns the device, for the measurement that follows
 * @throws Error when the device does not do what its documentation says
 */
export async function runDemoProgram(
  guest: GuestAccess,
  output: DemoOutput,
): Promise<GuestFunction> {
  await output.heading('The guest enumerates the bus');
  const found = (await guest.functions()).filter(
    ({ vendorId, deviceId }) => vendorId === Edu.VENDOR && deviceId === Edu.DEVICE,
  );
  for (const { address, vendorId, deviceId, classCode, bars } of found) {
    await output.result(
      `${address}  ${hex(vendorId, 4)}:${hex(deviceId, 4)}  class ${hex(classCode, 6)}`,
    );
    for (const { slot, gpa, size } of bars) {
      await output.result(`  BAR ${slot}: ${size / 1024} KiB at 0x${gpa.toString(16)}`);
    }
  }
  const edu = await guest.open({ vendorId: Edu.VENDOR, deviceId: Edu.DEVICE });
  await edu.enableInterrupts('msix', 2);
  await output.result('memory decoding, bus mastering and two MSI-X vectors are on');

  await output.heading('Registers');
  await useRegisters(edu, output);
  await output.heading('DMA and MSI-X');
  await copyThereAndBack(guest, edu, output);
  return edu;
}

async function useRegisters(edu: GuestFunction, output: DemoOutput): Promise<void> {
  await edu.writeBar(Edu.BAR, Edu.LIVENESS, 4, 0x1234_5678);
  const inverted = await edu.readBar(Edu.BAR, Edu.LIVENESS, 4);
  expect('LIVENESS', inverted, 0xedcb_a987);
  await output.result(`LIVENESS gives every bit back inverted: 0x${hex(inverted, 8)}`);

  await edu.writeBar(Edu.BAR, Edu.STATUS, 4, Edu.STATUS_IRQ_WHEN_DONE);
  await edu.writeBar(Edu.BAR, Edu.FACTORIAL, 4, 10);
  await edu.waitInterrupt(Edu.VECTOR_FACTORIAL, INTERRUPT_LIMIT_MS);
  const factorial = await edu.readBar(Edu.BAR, Edu.FACTORIAL, 4);
  expect('FACTORIAL', factorial, 3_628_800);
  await output.result(`FACTORIAL raised vector ${Edu.VECTOR_FACTORIAL}: 10! is ${factorial}`);
}

async function copyThereAndBack(
  guest: GuestAccess,
  edu: GuestFunction,
  output: DemoOutput,
): Promise<void> {
  const text = Buffer.from('The guest wrote this, and the device carried it. ');
  const memory = await guest.allocate(8192);
  await memory.write(0, text);
  const copy = async (source: number, target: number, command: number): Promise<void> => {
    await edu.writeBar64(Edu.BAR, Edu.DMA_SOURCE, BigInt(source));
    await edu.writeBar64(Edu.BAR, Edu.DMA_TARGET, BigInt(target));
    await edu.writeBar(Edu.BAR, Edu.DMA_COUNT, 4, text.length);
    await edu.writeBar(Edu.BAR, Edu.DMA_COMMAND, 4, command | Edu.COMMAND_RUN | Edu.COMMAND_IRQ);
    await edu.waitInterrupt(Edu.VECTOR_DMA, INTERRUPT_LIMIT_MS);
  };
  await copy(memory.gpa, Edu.BUFFER, 0);
  await output.result(
    `${text.length} bytes from 0x${memory.gpa.toString(16)} into the device, vector ${Edu.VECTOR_DMA} came`,
  );
  await copy(Edu.BUFFER, memory.gpa + 4096, Edu.COMMAND_TO_GUEST);
  const returned = (await memory.read(4096, text.length)).toString();
  expect('the copy in guest memory', returned, text.toString());
  await output.result(`and back to 0x${(memory.gpa + 4096).toString(16)}: "${returned.trim()}"`);
}

function expect<Value>(what: string, found: Value, expected: Value): void {
  if (found === expected) return;
  throw new Error(`Cannot go on as ${what} is ${String(found)}: it should be ${String(expected)}`);
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
