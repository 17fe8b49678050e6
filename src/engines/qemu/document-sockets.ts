import type { MachinePlan } from './machine-plan.ts';
import { resourceFailure } from './resources/resource-failure.ts';

/** A unix socket that a machine is connected to. */
export interface DocumentSocket {
  /** JSON path in the document. */
  readonly at: string;
  readonly path: string;
}

const DEVICES = '$.VirtualMachine.Devices';

/**
 * Sockets of the document of a machine.
 * @throws HcsError E_INVALIDARG for one that two of them share
 */
export function documentSockets(plan: MachinePlan): readonly DocumentSocket[] {
  const { comPorts, serialPorts, console } = plan;
  const sockets = [
    ...comPorts.map((path, index) => ({ at: `${DEVICES}.ComPorts["${index}"].NamedPipe`, path })),
    ...serialPorts.map(({ number, path }) => ({
      // Port 0 of a bus is not for documents.
      at: `${DEVICES}.VirtioSerial.Ports["${number - 1}"].NamedPipe`,
      path,
    })),
    {
      at: `${DEVICES}.VideoMonitor.ConnectionOptions.NamedPipe`,
      path: console.monitor?.socket,
    },
  ].filter((socket): socket is DocumentSocket => socket.path !== undefined);
  for (const [index, { at, path }] of sockets.entries()) {
    const first = sockets.findIndex((other) => other.path === path);
    if (first === index) continue;
    throw resourceFailure(
      'E_INVALIDARG',
      `${at} is "${path}", as ${sockets[first]?.at} is: a socket is one port's; use another path`,
    );
  }
  return sockets;
}
