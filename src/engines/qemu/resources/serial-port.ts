import { basename } from 'node:path';
import type { ResourceChange } from '../../../compute/engine.ts';
import type { VirtioSerialPort } from '../../../hcs/schema/documents.ts';
import type { HandedFiles } from '../handed-files.ts';
import type { LiveMachine } from '../live-machine.ts';
import type { PlannedSerialPort } from '../machine-plan.ts';
import { socketOptions } from '../option-text.ts';
import { type Part, partArguments } from '../part.ts';
import { hasListener, requireSocketPath } from '../unix-sockets.ts';
import { chardevBackend } from './com-port.ts';
import { resourceFailure, wholeNumber } from './resource-failure.ts';

const CONTROLLER_ID = 'serial';
/** Bytes of a name, which the guest has as that of a file. */
const LONGEST_NAME = 255;
/** Ports of a virtio-serial bus, without port 0. */
const MOST_PORTS = 30;

/** The bus of all ports, which comes with the first of them. */
export const SERIAL_CONTROLLER: Part = {
  id: CONTROLLER_ID,
  backends: [],
  device: { driver: 'virtio-serial-pci' },
  isPci: true,
};

/** VirtioSerial of the document. */
export function planSerialPorts(
  ports: Readonly<Record<string, VirtioSerialPort>>,
): readonly PlannedSerialPort[] {
  return Object.entries(ports).map(([key, port]) => {
    const at = `$.VirtualMachine.Devices.VirtioSerial.Ports["${key}"]`;
    const { Name, NamedPipe, ConsoleSupport = false } = port;
    if (NamedPipe === undefined) {
      throw resourceFailure('E_INVALIDARG', `${at}.NamedPipe is missing`);
    }
    requireSocketPath(`${at}.NamedPipe`, NamedPipe);
    const index = wholeNumber(`${at} (the key)`, Number(key), MOST_PORTS - 1, 0);
    const length = Name === undefined ? 1 : Buffer.byteLength(Name);
    if (length === 0 || length > LONGEST_NAME) {
      throw resourceFailure(
        'E_INVALIDARG',
        `${at}.Name has ${length} bytes: use 1 to ${LONGEST_NAME}`,
      );
    }
    return {
      name: Name ?? basename(NamedPipe),
      path: NamedPipe,
      number: index + 1,
      isConsole: ConsoleSupport,
    };
  });
}

/** A port for QEMU. @param files how QEMU comes by its socket, where it is there from the start */
export function serialPortPart(
  { name, path, number, isConsole }: PlannedSerialPort,
  isListening: boolean,
  files?: HandedFiles,
): Part {
  const id = `pipe${number}`;
  return {
    id,
    backends: [
      {
        option: '-chardev',
        ...(files === undefined
          ? {}
          : { value: `socket,id=${id},${socketOptions(path, isListening, files)}` }),
        add: ['chardev-add', { id, backend: chardevBackend(path, isListening) }],
        remove: ['chardev-remove', { id }],
      },
    ],
    device: {
      driver: isConsole ? 'virtconsole' : 'virtserialport',
      bus: `${CONTROLLER_ID}.0`,
      nr: number,
      chardev: id,
      name,
    },
    isPci: false,
  };
}

/** QEMU's arguments for the ports of the document. */
export function serialPortArguments(
  ports: readonly PlannedSerialPort[],
  listening: ReadonlySet<string>,
  files: HandedFiles,
): string[] {
  return ports.flatMap((port) =>
    partArguments(serialPortPart(port, listening.has(port.path), files), undefined),
  );
}

/** Maps a pipe of this machine into the guest, or no longer. Its name there is the last part of its path. */
export async function changeMappedPipe(
  machine: LiveMachine,
  { keys: [path = ''], request }: ResourceChange,
): Promise<void> {
  const what = `mapped pipe ${path}`;
  const { serialPorts } = machine.plan;
  const there = serialPorts.find((port) => port.path === path);
  const others = serialPorts.filter((port) => port !== there);
  if (request === 'Remove') {
    if (there === undefined) {
      throw resourceFailure('ERROR_NOT_FOUND', `the machine has no ${what}`);
    }
    await machine.unplug(serialPortPart(there, false), what);
    machine.disownSocket(path);
    machine.plan = { ...machine.plan, serialPorts: others };
    return;
  }
  if (there !== undefined) {
    throw resourceFailure('ERROR_ALREADY_EXISTS', `the machine has ${what} already`);
  }
  const at = 'The pipe in $.ResourcePath';
  requireSocketPath(at, path);
  const name = basename(path);
  if (others.some((port) => port.name === name)) {
    throw resourceFailure(
      'ERROR_ALREADY_EXISTS',
      `the guest has a pipe "${name}" already: the last parts of the paths have to differ`,
    );
  }
  const numbers = new Set(others.map((port) => port.number));
  const number = Array.from({ length: MOST_PORTS }, (_, i) => i + 1).find((n) => !numbers.has(n));
  if (number === undefined) {
    throw resourceFailure('ERROR_NOT_ENOUGH_QUOTA', `a machine has at most ${MOST_PORTS} pipes`);
  }
  const port = { name, path, number, isConsole: false };
  const isListening = hasListener(at, path);
  if (!machine.ports.has(CONTROLLER_ID)) await machine.plug(SERIAL_CONTROLLER);
  await machine.plug(serialPortPart(port, isListening));
  if (!isListening) machine.ownSocket(path);
  machine.plan = { ...machine.plan, serialPorts: [...others, port] };
}
