/** Numbers of the virtio entropy device: virtio 1.2, section 5.4. */

/** Device type (5.4.1). */
export const ENTROPY_DEVICE = 4;

/** Base class 0xff: fits no defined class. */
export const CLASS_CODE = 0xff0000;

/** Queues (5.4.2). */
export const Queue = { REQUEST: 0 } as const;

/** Requests that fit into the queue. */
export const QUEUE_SIZE = 256;

/** Random bytes given to one request at most: a device may use less than the whole buffer (5.4.6.2). */
export const MAX_REQUEST = 4096;
