import type { HostBinding, HostName } from '../hosts/host.ts';
import { selectedHostName, useHost } from '../hosts/index.ts';
import { UsageError } from './usage-error.ts';

/**
 * Selects the host that the user asked for.
 * @param fallback what to use when neither the option nor HDVKIT_HOST says; default: the platform's own
 * @throws UsageError when HDVKIT_HOST names no host
 * @throws HostUnavailableError where this platform does not have it
 */
export function openHost(name: string | undefined, fallback?: HostName): HostBinding {
  return useHost(openHostName(name, fallback));
}

/** Name of the host that the user asked for, without making it. @throws UsageError as {@link openHost} */
export function openHostName(name: string | undefined, fallback?: HostName): HostName {
  return (name as HostName | undefined) ?? fromEnvironment(fallback);
}

function fromEnvironment(fallback: HostName | undefined): HostName {
  if (fallback !== undefined && !process.env.HDVKIT_HOST) return fallback;
  try {
    return selectedHostName();
  } catch (cause) {
    throw new UsageError(
      cause instanceof Error ? cause.message : String(cause),
      'unset HDVKIT_HOST, or set it to one of these',
      { cause },
    );
  }
}
