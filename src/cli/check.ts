/** One finding of `hdvkit doctor`. */
export interface Check {
  readonly name: string;
  readonly title: string;
  /** `note`: works, but something is worth knowing. */
  readonly state: 'ok' | 'note' | 'missing';
  readonly detail: string;
  readonly remedy?: string;
  /** The host that does not work without it. */
  readonly neededBy?: 'linux' | 'windows';
}
