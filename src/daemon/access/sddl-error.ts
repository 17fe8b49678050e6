/** A security descriptor that says nothing that can be honoured here. */
export class SddlError extends Error {
  override readonly name = 'SddlError';
  /** Where in the text, counted from 0. */
  readonly at: number;

  constructor(at: number, reason: string) {
    super(`Cannot use the security descriptor: at character ${at + 1}, ${reason}`);
    this.at = at;
  }
}
