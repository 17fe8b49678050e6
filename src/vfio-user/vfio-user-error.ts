/** A vfio-user connection that cannot be made or used. */
export class VfioUserError extends Error {
  override readonly name = 'VfioUserError';
  /** errno's name (`EADDRINUSE`), or `EPROTO` for a peer that breaks the protocol. */
  readonly code: string;

  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
