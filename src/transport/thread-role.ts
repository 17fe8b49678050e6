import { isMainThread, workerData } from 'node:worker_threads';

/** What the thread of a device worker finds as its worker data. */
export const DEVICE_WORKER_DATA = { hdvkitRole: 'device' } as const;

/** Does this code run in a thread that serves a device? Such a thread has no use for hosts, and starts without them. */
export const isDeviceThread: boolean =
  !isMainThread &&
  (workerData as Partial<typeof DEVICE_WORKER_DATA> | null)?.hdvkitRole ===
    DEVICE_WORKER_DATA.hdvkitRole;
