import { DeviceWorker } from './device-worker.ts';
import { loadLimitMs, loadTooLong } from './load-limit.ts';
import type { DeviceWorkerOptions } from './worker-launch.ts';

/**
 * Starts a worker whose entry loads a device's module, which may never return from being loaded.
 * @throws what the entry threw, or an Error that names the file when it takes too long
 */
export async function loadOnWorker(
  module: URL,
  options: Omit<DeviceWorkerOptions, 'modules' | 'signal'>,
): Promise<DeviceWorker> {
  const controller = new AbortController();
  const limit = loadLimitMs();
  const timer = setTimeout(() => {
    controller.abort(loadTooLong(fileName(module), limit));
  }, limit);
  try {
    return await DeviceWorker.start({ ...options, modules: [module], signal: controller.signal });
  } finally {
    clearTimeout(timer);
  }
}

function fileName(module: URL): string {
  return decodeURIComponent(module.pathname.slice(module.pathname.lastIndexOf('/') + 1));
}
