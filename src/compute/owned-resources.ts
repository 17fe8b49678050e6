/** Something outside the process and the own folder of a machine that is to end with it. */
export interface OwnedResource {
  /** `'file'` is also a socket, or a folder with all that is in it. */
  readonly kind: 'file' | 'controlGroup';
  /** Absolute path. */
  readonly name: string;
}

/**
 * What machines own, so that it is found again when their service has ended in whatever way. All of it is synchronous, and
 * none of it throws: what cannot be noted is told in the log.
 */
export interface OwnedResources {
  /** All that was added and not removed, in that order. */
  readonly all: readonly OwnedResource[];
  /** Called before it is made. */
  add(resource: OwnedResource): void;
  /** Called when it is no more, or is not to end with the machine. */
  remove(resource: OwnedResource): void;
}
