/**
 * A device's own code threw, or returned a promise where a finished result is due. The device was stopped and answers
 * as if unplugged. `cause` is what it threw.
 */
export class DeviceFailedError extends Error {
  override readonly name = 'DeviceFailedError';
  /** Class name of the device. */
  readonly device: string;

  constructor(device: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`Cannot go on with ${device} as its code failed: ${reason}`, { cause });
    this.device = device;
  }
}
