import type { VmProcessorRequirements } from '../hcs/schema/documents.ts';

/** Who is given access to a file: the machine of one system, or every machine. */
export type FileUser =
  | {
      readonly kind: 'vm';
      /** Id of the system, which need not exist yet. */
      readonly systemId: string;
      /** Its Properties.RuntimeId: what accounts are derived from. */
      readonly runtimeId: string;
    }
  | { readonly kind: 'group' };

/**
 * The files that an engine's machines keep state in, and who may open files. Paths are absolute. Errors of the system
 * are passed on as they are (`code: 'ENOENT'`), the service makes HRESULTs of them; HcsError for anything else.
 */
export interface VmFiles {
  /** Makes a file for what firmware keeps. The file must not be there; what was begun is removed when it fails. */
  createGuestState(path: string): Promise<void>;
  /** Makes a file for the state of a machine, with none in it. As {@link createGuestState}. */
  createRuntimeState(path: string): Promise<void>;
  /**
   * What a processor must have for the machine that was saved in a file.
   * @throws HcsError ERROR_INVALID_DATA for a file of another kind, or a damaged one
   */
  processorRequirements(path: string): Promise<VmProcessorRequirements>;
  /** Lets machines open a file, or make files in a folder. Granting twice is as granting once. */
  grant(user: FileUser, path: string): Promise<void>;
  /** Whether a machine, or its group, has been granted a file, by whomever. False where that cannot be told. */
  isGranted?(user: FileUser, path: string): Promise<boolean>;
  /** Takes back what {@link grant} gave, if anything. */
  revoke(user: FileUser, path: string): Promise<void>;
}
