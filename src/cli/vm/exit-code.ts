import type { SystemExitStatus } from '../../hcs/schema/documents.ts';
import { ExitCode } from '../failure.ts';

/** What the end of a machine is for a shell. */
export const MachineExitCode = { TERMINATED: 3, UNEXPECTED: 4 } as const;

/** Exit code for the way in which a machine ended. */
export function exitCodeOf({ ExitType }: SystemExitStatus): number {
  switch (ExitType) {
    case 'GracefulExit':
      return ExitCode.DONE;
    case 'ForcedExit':
      return MachineExitCode.TERMINATED;
    case 'UnexpectedExit':
      return MachineExitCode.UNEXPECTED;
    default:
      return ExitCode.FAILED;
  }
}
