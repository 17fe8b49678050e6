import type { ComputeSystem, ShutdownOptions } from '../hcs/schema/documents.ts';
import type { EngineSystem, ShutdownRequest } from './engine.ts';
import { failure } from './failure.ts';

/**
 * What a guest is asked for by options, where the system has what asks it.
 * @throws HcsError ERROR_NOT_SUPPORTED for what a machine of this engine cannot be asked for;
 * HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION where its document has nothing that asks the guest
 */
export function shutdownRequest(
  name: string,
  document: ComputeSystem,
  machine: EngineSystem,
  { Mechanism, Type = 'Shutdown', Force = false, Reason }: ShutdownOptions,
): ShutdownRequest {
  const { shutdownTypes = ['Shutdown'] } = machine;
  if (!shutdownTypes.includes(Type)) {
    throw failure(
      name,
      'ERROR_NOT_SUPPORTED',
      `$.Type is ${Type}: a machine of this host can be asked for ${shutdownTypes.join(', ')}`,
    );
  }
  if (Force) {
    throw failure(
      name,
      'ERROR_NOT_SUPPORTED',
      '$.Force is true: a guest of this host can be asked to stop, not forced; terminate the system instead',
    );
  }
  const { GuestConnection, Services } = document.VirtualMachine ?? {};
  const hasAgent = GuestConnection !== undefined && Mechanism !== 'IntegrationService';
  const hasService = Services?.Shutdown !== undefined && Mechanism !== 'GuestConnection';
  if (hasAgent || hasService) return { type: Type, mechanism: Mechanism, reason: Reason };
  throw failure(
    name,
    'HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION',
    'the document has nothing that asks the guest to shut down: add VirtualMachine.Services.Shutdown, or terminate the system',
  );
}
