/** The guest's side, for tests of devices: a simulated machine, a guest that drives the device, and a fuzzer. */
export type { InterruptMessage } from './engines/simulated/interrupts.ts';
export { SimulatedMachine, type SimulatedMachineOptions } from './engines/simulated/machine.ts';
export { SeededRandom } from './engines/simulated/random.ts';
export type { RunProgramOptions } from './hosts/program-host.ts';
export { type GuestProgram, VirtualProcessor } from './hosts/simulated/virtual-processor.ts';
export { type GuestCapability, GuestConfigSpace } from './testing/config-space.ts';
export { FuzzFailure, type FuzzOptions, type FuzzReport, fuzz } from './testing/fuzz.ts';
export type { FuzzOperation } from './testing/fuzz-operations.ts';
export { Guest, type GuestSnapshot } from './testing/guest.ts';
export type {
  GuestAccess,
  GuestAllocation,
  GuestFunction,
  GuestFunctionInfo,
} from './testing/guest-access.ts';
export { GuestBar } from './testing/guest-bar.ts';
export { GuestInterrupts, type InterruptMode } from './testing/guest-interrupts.ts';
export { VmMemory } from './testing/guest-memory.ts';
export { GuestPlatform } from './testing/guest-platform.ts';
export { GuestRegisters } from './testing/guest-registers.ts';
export { PciDriver } from './testing/pci-driver.ts';
export { runGuestProgram } from './testing/run-guest-program.ts';
export { SimulatedGuestAccess } from './testing/simulated-guest-access.ts';
export {
  type PlugOptions,
  plug,
  SimulatedVm,
  type SimulatedVmOptions,
} from './testing/simulated-vm.ts';
