import { SimulatedEngine } from '../../engines/simulated/engine.ts';
import { ProcessDevice } from './process-device.ts';

/** What the engine of a service tells, and how long devices may take. */
export interface ProcessEngineOptions {
  /** Takes a line for each device that went by itself. */
  readonly log?: ((line: string) => void) | undefined;
  /** See `ProcessDeviceOptions`. */
  readonly limitMs?: number | undefined;
}

/** An engine whose machines have devices of other processes, over vfio-user; needs Linux. */
export function createProcessEngine({ log, limitMs }: ProcessEngineOptions = {}): SimulatedEngine {
  return new SimulatedEngine({
    async connect(endpoint, machine, { systemId, instanceId }) {
      const name = `device ${instanceId} of system ${JSON.stringify(systemId)}`;
      return await ProcessDevice.connect(socketOf(endpoint), machine, {
        limitMs,
        gone: (reason) => log?.(`${name} is gone: ${reason}`),
      });
    },
  });
}

/** @throws TypeError when the endpoint, which another process has sent, is none */
function socketOf(endpoint: unknown): { readonly socketPath: string } {
  const { kind, socketPath } = (endpoint ?? {}) as Readonly<Record<string, unknown>>;
  if (kind === 'vfio-user' && typeof socketPath === 'string') return { socketPath };
  throw new TypeError('Cannot reach the device: its device host offers no vfio-user socket');
}
