import { COMPUTE_STORAGE_FUNCTIONS, type ComputeStorage } from '../hcs/compute-storage.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';

/** The storage of hosts that have no container layers yet: every function rejects with E_NOTIMPL. */
export const notImplementedStorage: ComputeStorage = Object.fromEntries(
  COMPUTE_STORAGE_FUNCTIONS.map((name) => [
    name,
    async (): Promise<never> => {
      const message = 'this host has no container layers';
      throw new HcsError({ function: name, hresult: HRESULT.E_NOTIMPL, message });
    },
  ]),
) as unknown as ComputeStorage;
