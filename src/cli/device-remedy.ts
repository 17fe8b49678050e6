import type { HostName } from '../hosts/host.ts';

/**
 * What to do where a machine lacks a display or a console.
 * @param what it lacks
 * @param field JSON path that gives it one, on hosts that have such things
 */
export function deviceRemedy(host: HostName, what: string, field: string): string {
  return host === 'simulated'
    ? `machines of the host simulated have no ${what}; the host linux has such machines`
    : `give the machine a ${what} in its document: ${field}`;
}
