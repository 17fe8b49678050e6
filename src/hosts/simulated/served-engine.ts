import type { GuestPrograms } from '../../daemon/guest-programs.ts';
import { SimulatedEngine } from '../../engines/simulated/engine.ts';
import { ProcessDevice } from './process-device.ts';
import { runProgramOf } from './processors.ts';

/** What the engine of a service tells, and how long devices may take. */
export interface ServedEngineOptions {
  /** Takes a line for each device that went by itself. */
  readonly log?: ((line: string) => void) | undefined;
  /** See `ProcessDeviceOptions`. */
  readonly limitMs?: number | undefined;
}

/** An engine, and the guest programs of its machines. */
export interface ServedEngine {
  readonly engine: SimulatedEngine;
  readonly programs: GuestPrograms;
}

/** An engine for a service behind a socket: devices are in other processes, and come over vfio-user, which needs Linux. */
export function createServedEngine({ log, limitMs }: ServedEngineOptions = {}): ServedEngine {
  const engine = new SimulatedEngine({
    async connect(endpoint, machine, { systemId, instanceId }) {
      const name = `device ${instanceId} of system ${JSON.stringify(systemId)}`;
      return await ProcessDevice.connect(socketOf(endpoint), machine, {
        limitMs,
        gone: (reason) => log?.(`${name} is gone: ${reason}`),
      });
    },
  });
  return {
    engine,
    programs: {
      run: (systemId, program, options) => runProgramOf(engine, systemId, program, options),
    },
  };
}

/** @throws TypeError when the endpoint, which another process has sent, is none */
function socketOf(endpoint: unknown): { readonly socketPath: string } {
  const { kind, socketPath } = (endpoint ?? {}) as Readonly<Record<string, unknown>>;
  if (kind === 'vfio-user' && typeof socketPath === 'string') return { socketPath };
  throw new TypeError('Cannot reach the device: its device host offers no vfio-user socket');
}
