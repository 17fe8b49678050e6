/** The daemon cannot listen: the message names what is in the way and the remedy. */
export class ServiceSocketError extends Error {
  override readonly name = 'ServiceSocketError';
  /** Another daemon serves the socket, or is about to. */
  readonly isServed: boolean;

  constructor(
    message: string,
    { isServed = false, cause }: { isServed?: boolean; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.isServed = isServed;
  }
}
