import type { HostCapabilities } from '../../hdv/host-capabilities.ts';

/** What the windows host can do. */
export const WINDOWS_CAPABILITIES: HostCapabilities = {
  commandRegister: 'unreliable',
  intx: false,
  flexibleIovRemove: 'passedThrough',
  doorbells: 'unlessRestricted',
  mappedRanges: 'unlessRestricted',
  placements: ['worker'],
};
