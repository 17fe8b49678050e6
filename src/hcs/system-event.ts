import { HCS_EVENT_TYPE } from './core/constants.ts';
import type { HCS_EVENT } from './core/handles.ts';
import type { CrashReport, SystemExitStatus } from './schema/documents.ts';

/** What happens to a compute system on its own, as {@link ComputeSystem.events} yields it. */
export type SystemEvent =
  | { readonly type: 'exited'; readonly status: SystemExitStatus }
  | { readonly type: 'crashInitiated'; readonly report: CrashReport }
  | { readonly type: 'crashed'; readonly report: CrashReport }
  | { readonly type: 'guestConnectionClosed' }
  | { readonly type: 'rdpEnhancedModeChanged' }
  | { readonly type: 'serviceDisconnected' };

/** The event of a system handle in words, or undefined for kinds that a {@link ComputeSystem} does not ask for. */
export function systemEvent({ Type, EventData }: HCS_EVENT): SystemEvent | undefined {
  switch (Type >>> 0) {
    case HCS_EVENT_TYPE.HcsEventSystemExited:
      return { type: 'exited', status: readEventData<SystemExitStatus>(EventData) };
    case HCS_EVENT_TYPE.HcsEventSystemCrashInitiated:
      return { type: 'crashInitiated', report: readEventData<CrashReport>(EventData) };
    case HCS_EVENT_TYPE.HcsEventSystemCrashReport:
      return { type: 'crashed', report: readEventData<CrashReport>(EventData) };
    case HCS_EVENT_TYPE.HcsEventSystemGuestConnectionClosed:
      return { type: 'guestConnectionClosed' };
    case HCS_EVENT_TYPE.HcsEventSystemRdpEnhancedModeStateChanged:
      return { type: 'rdpEnhancedModeChanged' };
    case HCS_EVENT_TYPE.HcsEventServiceDisconnect:
      return { type: 'serviceDisconnected' };
    default:
      return undefined;
  }
}

/** The document of an event; what is no JSON object counts as one without fields. */
export function readEventData<T extends object>(text: string | null): T {
  if (text === null || text === '') return {} as T;
  try {
    const value: unknown = JSON.parse(text);
    return (typeof value === 'object' && value !== null ? value : {}) as T;
  } catch {
    return {} as T;
  }
}
