import type { ResourceChange } from './engine.ts';
import type { FlexibleIovEntry } from './flexible-iov.ts';
import type { Modification } from './modify-request.ts';
import type { ServedSystemRecord } from './served-system-record.ts';
import type { SystemState } from './system-state.ts';
import { hasSaved, type SettledCall, type UnfinishedCall } from './unfinished-call.ts';

/** A system that was taken over, as far as finishing or undoing its calls goes. */
export interface LeftSystem {
  readonly state: SystemState;
  readonly hasEnded: boolean;
  /** Whether it has a device, in its machine or for its start. */
  hasDevice(instanceId: string): boolean;
  pause(): Promise<void>;
  /** Finishes a change that was on its way. Undefined: its engine cannot. @throws why it cannot be finished */
  readonly settleChange: ((change: ResourceChange) => Promise<void>) | undefined;
}

type Outcome = Omit<SettledCall, 'function'>;

/** The call that ends a system. */
export const TERMINATE = 'HcsTerminateComputeSystem';
export const FINISHED: Outcome = { outcome: 'finished' };
const UNDONE: Outcome = { outcome: 'undone' };
/** Of a call whose system is no more. */
export const ENDED: Outcome = { ...UNDONE, reason: 'the system has ended' };

/**
 * Finishes or undoes a call, other than one that ends the system. Never throws.
 * @param wanted the state that the system was in when it was left
 */
export async function settleCall(
  call: UnfinishedCall,
  wanted: ServedSystemRecord['state'],
  system: LeftSystem,
): Promise<Outcome> {
  if (system.hasEnded) return ENDED;
  try {
    return await settle(call, wanted, system);
  } catch (error) {
    return { ...UNDONE, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Devices that may be in the machine of a system that was left: those of a call that was not over, too. */
export function devicesLeft({
  devices,
  entries,
  unfinished = [],
}: ServedSystemRecord): FlexibleIovEntry[] {
  const adding = unfinished.flatMap(({ modification }) =>
    modification?.kind === 'addDevice' ? [modification.entry] : [],
  );
  return [...devices, ...entries, ...adding];
}

async function settle(
  call: UnfinishedCall,
  wanted: ServedSystemRecord['state'],
  system: LeftSystem,
): Promise<Outcome> {
  const { function: name, modification } = call;
  switch (name) {
    case 'HcsStartComputeSystem':
      return system.state === 'Created' ? UNDONE : FINISHED;
    case 'HcsPauseComputeSystem':
      return system.state === 'Paused' ? FINISHED : UNDONE;
    case 'HcsResumeComputeSystem':
      return system.state === 'Running' ? FINISHED : UNDONE;
    case 'HcsSaveComputeSystem':
      // Its guest may have run on for a moment, to let go of what cannot be saved.
      if (system.state === 'Running' && wanted === 'Paused') await system.pause();
      return system.state === 'SavedAsTemplate' || hasSaved(call) ? FINISHED : UNDONE;
    case 'HcsModifyComputeSystem':
      if (modification?.kind !== 'change') return settleDevice(modification, system);
      if (system.settleChange === undefined) return UNDONE;
      await system.settleChange(modification.change);
      return FINISHED;
    default:
      return { ...UNDONE, reason: 'whether the guest was asked is not known: ask it again' };
  }
}

/** Which devices there are is known by now. */
function settleDevice(modification: Modification | undefined, system: LeftSystem): Outcome {
  switch (modification?.kind) {
    case 'addDevice':
      return system.hasDevice(modification.entry.instanceId) ? FINISHED : UNDONE;
    case 'removeDevice':
      return system.hasDevice(modification.instanceId) ? UNDONE : FINISHED;
    default:
      return UNDONE;
  }
}
