import type { ComputeSystem } from '../hcs/compute-system.ts';
import type { HostBinding } from '../hosts/host.ts';
import { selectedHost } from '../hosts/index.ts';
import type { ProgramHost, RunProgramOptions } from '../hosts/program-host.ts';

/**
 * Runs a guest program on virtual processors of a simulated machine, each on a thread of its own. Accesses to devices
 * on workers cross to the device's thread through shared memory, and interrupts come back through it.
 *
 * ```ts no-run
 * // read-id.ts
 * export default function readId({ machine }: VirtualProcessor): number {
 *   const [driver] = new GuestPlatform(machine).enumerate();
 *   return driver!.bar(0).read32(0);
 * }
 *
 * // elsewhere
 * await devices.attach(new URL('./edu.ts', import.meta.url), { placement: 'worker' });
 * await system.start();
 * const [id] = await runGuestProgram(system, new URL('./read-id.ts', import.meta.url));
 * ```
 *
 * A machine of a service (`useService`) runs it in the process of the service, for the service's own user; argument and
 * results are then what JSON carries of them.
 *
 * @returns what the program returned on each processor, cloned
 * @throws what it threw on one of them: the others are ended
 * @throws RangeError when the host is not the simulated one, or the system has ended
 */
export async function runGuestProgram(
  system: ComputeSystem,
  program: URL,
  {
    host = selectedHost(),
    ...options
  }: RunProgramOptions & {
    /** The host of the system; by default the selected one. */
    readonly host?: HostBinding;
  } = {},
): Promise<readonly unknown[]> {
  if (!isSimulated(host)) {
    throw new RangeError(
      `Cannot run a guest program on the host ${host.name}: only simulated machines run them`,
    );
  }
  return host.run(system.id, program, options);
}

function isSimulated(host: HostBinding): host is ProgramHost {
  return host.name === 'simulated';
}
