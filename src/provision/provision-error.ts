/** Something that a real guest needs is missing, and cannot be had without the user's help. */
export class ProvisionError extends Error {
  override readonly name = 'ProvisionError';
  /** What the user can do, as one sentence without a full stop. */
  readonly remedy: string;

  /** @param reason starts with "Cannot"; the message is the reason followed by the remedy */
  constructor(reason: string, remedy: string, options?: { readonly cause?: unknown }) {
    super(`${reason}; ${remedy}`, options);
    this.remedy = remedy;
  }
}
