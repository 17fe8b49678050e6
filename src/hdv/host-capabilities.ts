import type { PciHostCapabilities } from '../pci/host.ts';

/** Where a device may run: on the thread that attached it, or on a worker of its own. */
export type Placement = 'inline' | 'worker';

/** What a host can do, as data; the conformance suite holds each host to its answers. */
export interface HostCapabilities extends PciHostCapabilities {
  /**
   * Can a device be removed from a running machine? `exceptMsix`: devices with MSI-X are refused where the VMM would
   * abort on their removal. `passedThrough`: the request goes to Windows and its answer comes back.
   */
  readonly flexibleIovRemove: 'yes' | 'exceptMsix' | 'passedThrough';
  /** Has `HdvRegisterDoorbell` and its siblings. `unlessRestricted`: not on a restricted device host. */
  readonly doorbells: 'yes' | 'no' | 'unlessRestricted';
  /** Has `HdvCreateSectionBackedMmioRange`. */
  readonly mappedRanges: 'yes' | 'no' | 'unlessRestricted';
  /** Allowed placements, the default first. */
  readonly placements: readonly Placement[];
}
