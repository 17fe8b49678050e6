import { signedHresult } from '../hcs/hresult.ts';
import type { AttributionRecord, CrashReport, SystemExitStatus } from '../hcs/schema/documents.ts';
import type { EngineExit } from './engine.ts';

/** The CrashReport document of an engine; words that are no document are its log. */
export function crashReport(text: string): CrashReport {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Not a document.
  }
  return { CrashLog: text };
}

/**
 * The SystemExitStatus document of an exit.
 * @param wasAsked whether the guest was asked to shut down
 * @param crash what an unexpected exit is put down to
 */
export function exitStatus(
  exit: EngineExit,
  wasAsked: boolean,
  crash: AttributionRecord | undefined,
): SystemExitStatus {
  const attribution: Record<EngineExit['exitType'], AttributionRecord> = {
    GracefulExit: {
      SystemExit: { Detail: 'Shutdown', Initiator: wasAsked ? 'Client' : 'GuestOS' },
    },
    ForcedExit: { SystemExit: { Detail: 'Terminate', Initiator: 'Client' } },
    UnexpectedExit: crash ?? { SystemExit: { Detail: 'UnexpectedExit', Initiator: 'Internal' } },
  };
  return {
    Status: signedHresult(exit.status),
    ExitType: exit.exitType,
    Attribution: [attribution[exit.exitType]],
    ...(exit.detail === undefined ? {} : { Detail: exit.detail }),
  };
}
