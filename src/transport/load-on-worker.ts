import { DeviceWorker } from './device-worker.ts';
import type { DeviceWorkerOptions } from './worker-launch.ts';

/** Longest that loading a module and constructing its device may take. */
const LOAD_LIMIT_MS = 30_000;

/**
 * Starts a worker whose entry loads a device's module, which may never return from being loaded.
 * @throws what the entry threw, or an Error that names the file when it takes too long
 */
export async function loadOnWorker(
  module: URL,
  options: Omit<DeviceWorkerOptions, 'modules' | 'signal'>,
): Promise<DeviceWorker> {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(
      new Error(
        `Cannot load ${fileName(module)}: it did not finish within ${LOAD_LIMIT_MS / 1000} s; a constructor or the module itself does not return`,
      ),
    );
  }, LOAD_LIMIT_MS);
  try {
    return await DeviceWorker.start({ ...options, modules: [module], signal: controller.signal });
  } finally {
    clearTimeout(timer);
  }
}

function fileName(module: URL): string {
  return decodeURIComponent(module.pathname.slice(module.pathname.lastIndexOf('/') + 1));
}
