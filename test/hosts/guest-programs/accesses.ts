import type { VirtualProcessor } from 'hdvkit/testing';

/** Where the program finds the register, and how often it writes and reads it back. */
export interface AccessesArgument {
  readonly gpa: number;
  readonly accesses: number;
}

/** Each processor owns one register: it writes, and reads back what it wrote. @returns mismatches */
export default function accesses({ id, machine, argument }: VirtualProcessor): number {
  const { gpa, accesses } = argument as AccessesArgument;
  const at = gpa + 8 * id;
  let wrong = 0;
  for (let i = 1; i <= accesses; i++) {
    machine.write(at, 4, i * 16 + id);
    if (i % 3 === 0) machine.write(at + 4, 4, i);
    if (machine.read(at, 4) !== i * 16 + id) wrong++;
  }
  return wrong;
}
