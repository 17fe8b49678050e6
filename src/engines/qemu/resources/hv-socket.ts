import { rmSync } from 'node:fs';
import { checkFields } from '../../../compute/document-fields.ts';
import type { ResourceChange } from '../../../compute/engine.ts';
import type {
  HvSocketServiceConfig,
  HvSocketSystemConfig,
  VirtualMachine,
} from '../../../hcs/schema/documents.ts';
import { vsockPort, vsockServiceId } from '../../../hcs/vsock-service-id.ts';
import { findSideProgram } from '../../../provision/find-side-program.ts';
import { HV_SOCKET_SERVICE_FIELDS, QEMU_OTHERWISE } from '../document-fields.ts';
import type { LiveMachine } from '../live-machine.ts';
import type { MachinePlan, PlannedCrashFiles, PlannedHvSocket } from '../machine-plan.ts';
import type { Part } from '../part.ts';
import type { WatchedFolder } from '../watched-folder.ts';
import { chardevBackend } from './com-port.ts';
import { cannotHonour, resourceFailure } from './resource-failure.ts';

/** Id of the socket device in QEMU. */
export const HV_SOCKET_ID = 'vsock';
/** Number of every guest: its host knows it by its sockets. 0 to 2 are taken (vsock(7)). */
const GUEST_CID = 3;
/** Port of the host that agents of guests connect to. */
const GUEST_CONNECTION_PORT = 0x4000_0000;

/** What the document asks for; undefined where it is nothing, so that there is no device. */
export function planHvSocket(
  { Devices, GuestConnection, Services }: VirtualMachine,
  crashFiles: PlannedCrashFiles,
): PlannedHvSocket | undefined {
  const hasAgent = GuestConnection !== undefined;
  const hasHeartbeat = Services?.Heartbeat !== undefined;
  if (hasHeartbeat && !hasAgent) {
    throw cannotHonour(
      '$.VirtualMachine.Services.Heartbeat',
      'the agent of the guest answers it, over the guest connection; add VirtualMachine.GuestConnection, or leave it out',
    );
  }
  if (Devices?.HvSocket === undefined && !hasAgent) return undefined;
  requireNoSavedEnd(crashFiles);
  const { ServiceTable = {} }: HvSocketSystemConfig = Devices?.HvSocket?.HvSocketConfig ?? {};
  const at = '$.VirtualMachine.Devices.HvSocket.HvSocketConfig.ServiceTable';
  const ports = Object.entries(ServiceTable).flatMap(([id, { Disabled = false }]) => {
    const port = portOf(`${at}["${id}"]`, id, hasAgent);
    return Disabled ? [] : [port];
  });
  return { ports: [...new Set(ports)], hasAgent, hasHeartbeat };
}

function portOf(at: string, id: string, hasAgent: boolean): number {
  const port = vsockPort(id);
  if (port === undefined) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at} is no vsock port: on this host a service is one, with the id ${vsockServiceId(0x1234)} for port 0x1234`,
    );
  }
  if (port !== GUEST_CONNECTION_PORT || !hasAgent) return port;
  throw resourceFailure(
    'E_INVALIDARG',
    `${at} is the service of GuestConnection: use another, or leave GuestConnection out`,
  );
}

/** A guest that is at its end does not let go of the device, so that QEMU could save the machine. */
function requireNoSavedEnd({
  savedState,
  savedStateWithoutDump,
  endState,
}: PlannedCrashFiles): void {
  if ((savedState ?? savedStateWithoutDump ?? endState) === undefined) return;
  throw cannotHonour(
    '$.VirtualMachine.DebugOptions',
    'a guest that has crashed or ended does not let go of its sockets, without which QEMU does not save it; leave HvSocket and GuestConnection out, or have a dump written by Devices.GuestCrashReporting',
  );
}

/** Socket by which programs of the host connect to the guest; short, as a port's number is added to the path. */
function socketPath(folder: WatchedFolder): string {
  return folder.file('vs');
}

/** Socket on which a port of the host is listened to. */
function listenPath(folder: WatchedFolder, port: number): string {
  return `${socketPath(folder)}_${port}`;
}

/** Socket on which the guest connection is listened to. */
export function guestConnectionPath(folder: WatchedFolder): string {
  return listenPath(folder, GUEST_CONNECTION_PORT);
}

/**
 * Refuses sockets that a machine could not have.
 * @throws HcsError ERROR_NOT_SUPPORTED for a clone, ProvisionError where there is no program that serves them
 */
export async function requireHvSocket(
  { hvSocket }: Pick<MachinePlan, 'hvSocket'>,
  isClone: boolean,
): Promise<void> {
  if (hvSocket === undefined) return;
  requireNoClone(isClone);
  await findSideProgram('vhost-device-vsock');
}

/** The program that serves the sockets could not reach the guest's memory. */
function requireNoClone(isClone: boolean): void {
  if (!isClone) return;
  throw resourceFailure(
    'ERROR_NOT_SUPPORTED',
    "a clone cannot have HvSocket or GuestConnection: vhost-device-vsock has to map the guest's memory, and a clone's is partly its template's and private; use Devices.VirtioSerial or MappedPipes, or restore machines from a file",
  );
}

/**
 * Plugs the socket device, unless it is there, with the program that serves it.
 * @throws ProvisionError when there is no such program
 */
export async function plugHvSocket(machine: LiveMachine): Promise<void> {
  if (machine.ports.has(HV_SOCKET_ID)) return;
  requireNoClone(machine.isClone);
  await startSocketProgram(machine);
  try {
    await machine.plug(socketPart(machine.sides.socketOf(HV_SOCKET_ID)));
  } catch (error) {
    await machine.sides.end(HV_SOCKET_ID);
    throw error;
  }
}

/**
 * Starts the program that serves the device. It runs as who QEMU runs, not as the service: QEMU can put a link to any
 * socket of the system where the guest's connections go.
 */
async function startSocketProgram({ folder, sides }: LiveMachine): Promise<void> {
  const path = socketPath(folder);
  rmSync(path, { force: true }); // Of the program that served it before.
  await sides.start(HV_SOCKET_ID, {
    program: await findSideProgram('vhost-device-vsock'),
    args: (socket, files) => [
      ...['--guest-cid', String(GUEST_CID), '--socket', socket, '--uds-path', files.name(path)],
    ],
  });
}

/** Has the guest let go of the socket device. Its connections end; listeners of the guest go on with the next one. */
export async function unplugHvSocket(machine: LiveMachine): Promise<void> {
  await machine.sides.leave(HV_SOCKET_ID, () =>
    machine.unplug(socketPart(''), 'the device of its sockets'),
  );
}

/** The guest has let go of the device without being waited for. */
export async function forgetHvSocket(machine: LiveMachine): Promise<void> {
  await machine.sides.leave(HV_SOCKET_ID, async () => {
    for (const { remove } of socketPart('').backends) await machine.qmp.execute(...remove);
    await machine.keep(HV_SOCKET_ID, []);
    machine.ports.release(HV_SOCKET_ID);
  });
}

function socketPart(socket: string): Part {
  return {
    id: HV_SOCKET_ID,
    backends: [
      {
        option: '-chardev',
        add: ['chardev-add', { id: HV_SOCKET_ID, backend: chardevBackend(socket, true) }],
        remove: ['chardev-remove', { id: HV_SOCKET_ID }],
      },
    ],
    device: { driver: 'vhost-user-vsock-pci', chardev: HV_SOCKET_ID },
    isPci: true,
  };
}

/** Adds, disables or removes a service. Connections that are there stay. */
export async function changeService(
  machine: LiveMachine,
  { keys: [id = ''], request, settings }: ResourceChange,
): Promise<void> {
  const config = (settings ?? {}) as HvSocketServiceConfig;
  const type = 'HvSocketServiceConfig';
  checkFields(type, config, HV_SOCKET_SERVICE_FIELDS, '$.Settings', QEMU_OTHERWISE);
  const planned = machine.plan.hvSocket ?? { ports: [], hasAgent: false, hasHeartbeat: false };
  const port = portOf(`The service "${id}" in $.ResourcePath`, id, planned.hasAgent);
  const others = planned.ports.filter((other) => other !== port);
  const isOff = request === 'Remove' || config.Disabled === true;
  if (request === 'Update' && isOff && machine.plan.hvSocket === undefined) return;
  if (isOff) {
    if (request === 'Remove' && others.length === planned.ports.length) {
      throw resourceFailure('ERROR_NOT_FOUND', `the machine has no service ${id}`);
    }
    // Who listens there is not found any more.
    rmSync(listenPath(machine.folder, port), { force: true });
  } else {
    requireNoSavedEnd(machine.plan.crashFiles);
    await plugHvSocket(machine);
  }
  const ports = isOff ? others : [...others, port];
  machine.plan = { ...machine.plan, hvSocket: { ...planned, ports } };
}

/**
 * Where the sockets are: a document of this package. `CONNECT port\n` to `Socket` is answered by `OK number\n`, then what the
 * guest's program says; at `Listen` a program of the host waits for connections of the guest.
 */
export async function hvSocketProperty({ plan, folder }: LiveMachine): Promise<unknown> {
  if (plan.hvSocket === undefined) return undefined;
  const services = plan.hvSocket.ports.map((port) => [
    vsockServiceId(port),
    { Listen: listenPath(folder, port) },
  ]);
  return { Socket: socketPath(folder), ServiceTable: Object.fromEntries(services) };
}
