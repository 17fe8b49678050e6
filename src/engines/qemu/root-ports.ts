import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import type { QmpClient } from './qmp.ts';

/** Slots for devices: a q35 machine takes most devices behind a root port only. */
export const ROOT_PORTS = 16;

/** Identifier of a root port. */
export function rootPort(index: number): string {
  return `rp${index}`;
}

/** Asks a machine which root ports have which devices. */
export async function takenPorts(qmp: QmpClient): Promise<Record<string, number>> {
  const taken: Record<string, number> = {};
  for (const name of await deviceIds(qmp)) {
    if (/^rp\d+$/.test(name)) continue;
    const path = `${PERIPHERAL}/${name}`;
    const bus = await qmp.execute('qom-get', { path, property: 'parent_bus' });
    const [, port] = /\/rp(\d+)\//.exec(String(bus)) ?? [];
    if (port !== undefined) taken[name] = Number(port);
  }
  return taken;
}

/** Whether a machine has a device, by its id in QEMU. */
export async function hasDevice(qmp: QmpClient, id: string): Promise<boolean> {
  return (await deviceIds(qmp)).includes(id);
}

async function deviceIds(qmp: QmpClient): Promise<string[]> {
  const found = (await qmp.execute('qom-list', { path: PERIPHERAL })) as readonly {
    readonly name: string;
    readonly type: string;
  }[];
  return found.filter(({ type }) => type.startsWith('child<')).map(({ name }) => name);
}

/** Where QEMU has devices with ids. */
const PERIPHERAL = '/machine/peripheral';

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

  /** Takes over what is behind which port, whatever was known before. */
  replace(taken: Readonly<Record<string, number>>): void {
    this.#taken.clear();
    for (const [id, port] of Object.entries(taken)) this.#taken.set(id, port);
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
