import type { ComputeStorage } from './compute-storage.ts';

let provide: (() => ComputeStorage) | undefined;

/**
 * Says where the storage functions that bear Microsoft's names find their host. Host selection calls it once; the
 * provider is asked on each call, so that a later selection takes effect.
 */
export function provideComputeStorage(provider: () => ComputeStorage): void {
  provide = provider;
}

/** The compute storage of the selected host. @throws Error when nothing has provided one */
export function selectedComputeStorage(): ComputeStorage {
  if (provide === undefined) {
    throw new Error(
      "Cannot find compute storage as no host is selected: import 'hdvkit' or 'hdvkit/hcs' first",
    );
  }
  return provide();
}
