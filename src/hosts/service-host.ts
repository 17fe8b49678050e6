import type { RemoteService } from '../daemon/remote-service.ts';
import type { HostBinding } from './host.ts';
import { hostOverService, type LinuxHostOptions } from './linux/host.ts';
import type { ProgramHost } from './program-host.ts';
import { SIMULATED_CAPABILITIES } from './simulated/host.ts';

/**
 * A host whose machines are run by a service behind a socket; its devices are in this process.
 * @param name what the machines of the service run on
 */
export function serviceHost(
  remote: RemoteService,
  name: 'linux' | 'simulated',
  options: Pick<LinuxHostOptions, 'stallLimitMs' | 'heapLimit'> = {},
): HostBinding | ProgramHost {
  const binding = hostOverService(remote, options);
  if (name === 'linux') return binding;
  const { hdv } = binding;
  const { flexibleIovRemove } = SIMULATED_CAPABILITIES;
  return {
    ...binding,
    name,
    hdv: { ...hdv, hostName: name, capabilities: { ...hdv.capabilities, flexibleIovRemove } },
    run(
      systemId,
      program,
      {
        processors = 1,
        argument,
        export: exportName = 'default',
        signal = new AbortController().signal,
      } = {},
    ) {
      return remote.run(systemId, program, { processors, argument, export: exportName, signal });
    },
  };
}
