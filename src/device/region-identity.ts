import type { MmioRegion } from './mmio-region.ts';

/** Where bound registers keep the region that does their work. Found by name, also across two copies of the package. */
export const REGION: unique symbol = Symbol.for('hdvkit.region') as never;

/** The region that a host should dispatch to: the register file behind bound registers, or the region itself. */
export function regionOf(part: MmioRegion): MmioRegion {
  return (part as { [REGION]?: MmioRegion })[REGION] ?? part;
}
