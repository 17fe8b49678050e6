import { CallToken } from './call-token.ts';
import type { GuestProgramOptions } from './guest-programs.ts';
import type { Link } from './link.ts';

/**
 * Has the service at the other end of a connection run a guest program.
 * @throws HcsError with what the program threw; what the options' signal was aborted with
 */
export async function runRemoteProgram(
  link: Link,
  systemId: string,
  program: URL,
  { processors, argument, export: exportName, signal }: GuestProgramOptions,
): Promise<readonly unknown[]> {
  const token = new CallToken();
  const cancel = (): void => token.cancel();
  signal.addEventListener('abort', cancel);
  const params = {
    systemId,
    program: program.href,
    export: exportName,
    processors,
    argument: argument === undefined ? null : JSON.stringify(argument),
  };
  try {
    signal.throwIfAborted();
    const returned = await link.request('runGuestProgram', 'run', params, token);
    return JSON.parse(returned) as unknown[];
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}
