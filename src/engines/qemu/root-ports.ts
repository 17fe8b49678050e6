import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';

/** Slots for devices: a q35 machine takes most devices behind a root port only. */
export const ROOT_PORTS = 16;

/** Identifier of a root port. */
export function rootPort(index: number): string {
  return `rp${index}`;
}

/** Which root port of one machine has which device, by the device's id in QEMU. */
export class RootPorts {
  readonly #taken: Map<string, number>;

  /** @param taken ports that devices have from before, as in a machine that was saved */
  constructor(taken: Readonly<Record<string, number>> = {}) {
    this.#taken = new Map(Object.entries(taken));
  }

  /** All that are taken. */
  get taken(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#taken);
  }

  has(id: string): boolean {
    return this.#taken.has(id);
  }

  /**
   * The port of a device: the one that it has, else the first free one, which it has from now on.
   * @throws HcsError ERROR_NOT_ENOUGH_QUOTA when none is free
   */
  take(id: string): number {
    const has = this.#taken.get(id);
    if (has !== undefined) return has;
    const ports = new Set(this.#taken.values());
    for (let port = 0; port < ROOT_PORTS; port++) {
      if (ports.has(port)) continue;
      this.#taken.set(id, port);
      return port;
    }
    throw new HcsError({
      function: 'HcsModifyComputeSystem',
      hresult: HRESULT.ERROR_NOT_ENOUGH_QUOTA,
      message: `the machine has ${ROOT_PORTS} slots, and all are taken: remove a device first`,
    });
  }

  release(id: string): void {
    this.#taken.delete(id);
  }
}
