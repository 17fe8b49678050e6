import { HCS_RESOURCE_TYPE } from '../hcs/core/constants.ts';
import { nearest } from '../hcs/schema/nearest.ts';
import { failure } from './failure.ts';
import { shorten } from './file-failure.ts';

const TYPE = HCS_RESOURCE_TYPE;

/** Names of the slots that objects of the caller can fill, and what has to be in them. */
const SLOTS: Readonly<Record<string, HCS_RESOURCE_TYPE>> = {
  'hcs:/VirtualMachine/LiveMigrationSocket': TYPE.HcsResourceTypeSocket,
  'hcs:/VirtualMachine/VmmemJob': TYPE.HcsResourceTypeJob,
  'hcs:/VirtualMachine/WorkerJob': TYPE.HcsResourceTypeJob,
};

/** The objects that an idle operation was given for its next call. */
export class OperationResources {
  readonly #uris = new Set<string>();

  /**
   * @throws HcsError E_INVALIDARG for a slot that does not exist, a type that does not belong there, or no handle;
   * ERROR_ALREADY_EXISTS for a slot that is filled
   */
  add(name: string, type: HCS_RESOURCE_TYPE, uri: string, handle: bigint): void {
    const slot = Object.hasOwn(SLOTS, uri) ? SLOTS[uri] : undefined;
    if (slot === undefined) {
      const known = Object.keys(SLOTS);
      const meant = typeof uri === 'string' ? nearest(uri, known) : undefined;
      const hint = meant === undefined ? `there are ${known.join(', ')}` : `did you mean ${meant}?`;
      throw failure(
        name,
        'E_INVALIDARG',
        `the uri "${shorten(String(uri))}" is no slot of a call: ${hint}`,
      );
    }
    if (type !== slot) {
      throw failure(
        name,
        'E_INVALIDARG',
        `the type is ${typeName(type)}, and ${uri} takes ${typeName(slot)}`,
      );
    }
    if (typeof handle !== 'bigint' || handle === 0n) {
      throw failure(
        name,
        'E_INVALIDARG',
        `the handle for ${uri} is ${String(handle)}: pass an open one`,
      );
    }
    if (this.#uris.has(uri)) {
      throw failure(name, 'ERROR_ALREADY_EXISTS', `the operation has something for ${uri} already`);
    }
    this.#uris.add(uri);
  }

  /**
   * Hands the resources to a call. None of this service uses any: jobs are objects of Windows, and machines do not
   * migrate here. The operation has none afterwards.
   * @throws HcsError ERROR_NOT_SUPPORTED when there are some
   */
  use(name: string): void {
    const uris = [...this.#uris];
    this.#uris.clear();
    if (uris.length === 0) return;
    throw failure(
      name,
      'ERROR_NOT_SUPPORTED',
      `the operation was given ${uris.join(', ')}, which ${name} has no use for on this host: use an operation without resources`,
    );
  }
}

function typeName(type: number): string {
  const [name] = Object.entries(TYPE).find(([, value]) => value === type) ?? [];
  return name ?? String(type);
}
