import { rootPort } from './root-ports.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Something that a device of QEMU stands on: a block node, a network, memory. */
export interface Backend {
  /** QEMU's option for it, at the start. */
  readonly option: '-blockdev' | '-object' | '-netdev' | '-chardev';
  /** The option's value where it is not the JSON of {@link add}'s arguments. */
  readonly value?: string;
  /** The command that makes it in a running QEMU. */
  readonly add: readonly [command: string, args: Fields];
  /** The command that removes it. */
  readonly remove: readonly [command: string, args: Fields];
}

/** A device of QEMU with all that it stands on, which can be there from the start or come later. */
export interface Part {
  /** The device's id in QEMU. */
  readonly id: string;
  readonly backends: readonly Backend[];
  /** Properties of the device, without its id; `driver` is one of them. */
  readonly device: Fields;
  /** Whether the device goes into a root port; otherwise its properties name its bus. */
  readonly isPci: boolean;
}

/** The device of a part, as QEMU takes it. */
export function deviceOf(part: Part, port: number | undefined): Fields {
  return { ...part.device, id: part.id, ...(port === undefined ? {} : { bus: rootPort(port) }) };
}

/**
 * QEMU's arguments for a part that is there from the start.
 * @param handed makes of a backend's arguments those with the names that QEMU has for files
 */
export function partArguments(
  part: Part,
  port: number | undefined,
  handed: (args: Fields) => Fields = (args) => args,
): string[] {
  return [
    ...part.backends.flatMap(({ option, value, add: [, args] }) => [
      option,
      value ?? JSON.stringify(handed(args)),
    ]),
    '-device',
    JSON.stringify(deviceOf(part, port)),
  ];
}

/** An object of QEMU's that a device stands on. */
export function objectBackend(id: string, type: string, properties: Fields): Backend {
  return {
    option: '-object',
    add: ['object-add', { 'qom-type': type, id, ...properties }],
    remove: ['object-del', { id }],
  };
}
