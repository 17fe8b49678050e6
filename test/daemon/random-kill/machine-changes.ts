import { type Change, INVALID, type MachineState, NOT_SUPPORTED } from './machine-model.ts';

const MISSING = 'ERROR_NOT_FOUND';
const THERE = 'ERROR_ALREADY_EXISTS';

/** What of a machine becomes other by a change, or the code of the error that it comes to. */
export function changed(change: Change, state: MachineState): Partial<MachineState> | string {
  const { life, disks, shares } = state;
  if (life === 'Paused' || life === 'SavedAsTemplate' || state.waits) return INVALID;
  switch (change.kind) {
    case 'addDisk':
      if (disks.includes(change.lun)) return THERE;
      return { disks: [...disks, change.lun].sort() };
    case 'removeDisk':
      if (!disks.includes(change.lun)) return MISSING;
      return { disks: disks.filter((lun) => lun !== change.lun) };
    case 'updateDisk':
      return disks.includes(change.lun) ? {} : MISSING;
    case 'addAdapter':
      return state.adapter ? THERE : { adapter: true };
    case 'limit':
      return { limit: change.limit };
    case 'addShare':
      if (shares.includes(change.share)) return THERE;
      return state.isClone ? NOT_SUPPORTED : { shares: [...shares, change.share].sort() };
    case 'addService':
      return state.isClone ? NOT_SUPPORTED : { service: true, sockets: true };
    case 'removeService':
      return state.service ? { service: false } : MISSING;
  }
}
