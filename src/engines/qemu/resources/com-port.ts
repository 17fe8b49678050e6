import type { ResourceChange } from '../../../compute/engine.ts';
import type { ComPort } from '../../../hcs/schema/documents.ts';
import { COM_PORT_FIELDS } from '../document-fields.ts';
import type { LiveMachine } from '../live-machine.ts';
import { hasListener, requireSocketPath } from '../unix-sockets.ts';
import { cannotHonour, refuseFields, resourceFailure } from './resource-failure.ts';

/** COM ports of a machine, which are always there; a document says what they are connected to. */
export const COM_PORTS = 2;

/** Sockets of COM1 and COM2; undefined where nothing is connected. */
export function planComPorts(
  ports: Readonly<Record<string, ComPort>>,
): readonly (string | undefined)[] {
  const planned: (string | undefined)[] = [undefined, undefined];
  for (const [key, port] of Object.entries(ports)) {
    const at = `$.VirtualMachine.Devices.ComPorts["${key}"]`;
    if (key !== '0' && key !== '1') throw cannotHonour(at, 'a machine has COM ports 0 and 1');
    planned[Number(key)] = planComPort(at, port);
  }
  return planned;
}

function planComPort(at: string, port: ComPort): string | undefined {
  refuseFields(at, 'ComPort', port, COM_PORT_FIELDS);
  const { NamedPipe = '' } = port;
  if (NamedPipe === '') return undefined;
  requireSocketPath(`${at}.NamedPipe`, NamedPipe);
  return NamedPipe;
}

/** Connects a COM port to another socket, or to none. */
export async function changeComPort(
  machine: LiveMachine,
  { keys: [key = ''], request, settings }: ResourceChange,
): Promise<void> {
  if (key !== '0' && key !== '1') {
    throw resourceFailure(
      'ERROR_NOT_FOUND',
      `$.ResourcePath names COM port ${key}: a machine has COM ports 0 and 1`,
    );
  }
  const index = Number(key);
  const old = machine.plan.comPorts[index];
  if (request === 'Add' && old !== undefined) {
    throw resourceFailure(
      'ERROR_ALREADY_EXISTS',
      `$.RequestType is Add, and COM port ${key} is connected to "${old}": use Update`,
    );
  }
  const path = request === 'Remove' ? undefined : planComPort('$.Settings', settings as ComPort);
  if (path === old) return;
  const isListening = path === undefined || hasListener('$.Settings.NamedPipe', path);
  const { args, back } = await machine.files.lend(machine.qmp, {
    id: `com${index + 1}`,
    backend: chardevBackend(path, isListening),
  });
  try {
    await machine.qmp.execute('chardev-change', args);
  } catch (error) {
    await back();
    throw error;
  }
  if (old !== undefined) machine.disownSocket(old);
  if (path !== undefined && !isListening) machine.ownSocket(path);
  machine.plan = {
    ...machine.plan,
    comPorts: machine.plan.comPorts.map((other, i) => (i === index ? path : other)),
  };
}

/** A ChardevBackend of QMP: a socket, or nothing. */
export function chardevBackend(
  path: string | undefined,
  isListening: boolean,
): Readonly<Record<string, unknown>> {
  if (path === undefined) return { type: 'null', data: {} };
  return {
    type: 'socket',
    data: {
      addr: { type: 'unix', data: { path } },
      server: !isListening,
      ...(isListening ? {} : { wait: false }),
    },
  };
}
