/** Something that the user gave and can mend. Shown as its message and its remedy; the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  /** What to do about it: one sentence or command. */
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string, options?: ErrorOptions) {
    super(message, options);
    this.remedy = remedy;
  }
}
