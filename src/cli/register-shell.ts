import type { Bar } from '../device/bar.ts';
import type { PciDevice } from '../device/pci-device.ts';
import type { RegisterDescription } from '../device/register-description.ts';
import { registersOf } from '../inspect/bar-names.ts';
import { formatFields } from '../inspect/register-names.ts';
import type { GuestAccess, GuestFunction } from '../testing/guest-access.ts';

/** A register and where it is. */
interface Place {
  readonly slot: number;
  readonly offset: number;
  readonly width: 1 | 2 | 4 | 8;
  readonly register?: RegisterDescription;
}

/** What {@link RegisterShell} says about its commands. */
export const SHELL_HELP = `\
  registers                  names, offsets and widths
  read NAME                  a register by name; NAME[2] for an element of an array
  read BAR+OFFSET[/WIDTH]    read 0+0x20/2: two bytes of BAR 0
  write NAME|BAR+OFFSET[/WIDTH] VALUE
  interrupts                 vectors that came since the last time
  advance MS                 lets machine time pass
  reset                      function-level reset
  help, quit`;

/** A command that cannot be carried out; the shell goes on. */
export class ShellError extends Error {
  override readonly name = 'ShellError';
}

/** Commands that read and write a device's registers by name, from the guest's side. */
export class RegisterShell {
  readonly #guest: GuestAccess;
  readonly #fn: GuestFunction;
  readonly #places = new Map<string, Place>();

  constructor(guest: GuestAccess, fn: GuestFunction, device: PciDevice) {
    this.#guest = guest;
    this.#fn = fn;
    for (const [slot, bar] of Object.entries(device.bars)) {
      for (const { offset, region } of (bar as Bar).parts) {
        for (const register of registersOf(region) ?? []) {
          this.#addRegister(Number(slot), offset, register);
        }
      }
    }
  }

  /** Names that can be completed. */
  get names(): readonly string[] {
    return [...this.#places.keys()];
  }

  /**
   * Carries out one line.
   * @returns what it says, or undefined when the shell is to be left
   * @throws ShellError for what it does not understand
   */
  async run(line: string): Promise<string | undefined> {
    const [command = '', ...words] = line.trim().split(/\s+/);
    switch (command) {
      case '':
        return '';
      case 'registers':
        return this.#list();
      case 'read':
        return await this.#read(this.#place(words[0]));
      case 'write':
        await this.#write(this.#place(words[0]), number(words[1]));
        return '';
      case 'interrupts':
        return (await this.#fn.takeInterrupts()).join(' ') || 'none';
      case 'advance':
        await this.#guest.sleep(Number(number(words[0])));
        return '';
      case 'reset':
        await this.#fn.reset();
        return '';
      case 'help':
        return SHELL_HELP;
      case 'quit':
      case 'exit':
        return undefined;
      default:
        throw new ShellError(`Cannot run ${command}: there is no such command; try help`);
    }
  }

  #addRegister(slot: number, base: number, register: RegisterDescription): void {
    const { name, offset, width, count, stride, isArray } = register;
    for (let index = 0; index < count; index++) {
      const place: Place = { slot, offset: base + offset + index * stride, width, register };
      this.#places.set(isArray ? `${name}[${index}]` : name, place);
    }
  }

  #list(): string {
    return [...this.#places]
      .map(([name, { slot, offset, width, register }]) => {
        const at = `${slot}+0x${offset.toString(16)}`;
        return `  ${at.padEnd(12)} ${String(width * 8).padStart(2)}  ${register?.access.padEnd(3)}  ${name}`;
      })
      .join('\n');
  }

  #place(text: string | undefined): Place {
    const named = this.#places.get(text ?? '');
    if (named !== undefined) return named;
    const match = /^([0-5])\+(0x[\da-f]+|\d+)(?:\/([1248]))?$/i.exec(text ?? '');
    if (match === null) {
      throw new ShellError(
        `Cannot find ${text ?? 'what to access'}: give the name of a register, or BAR+OFFSET as 0+0x20`,
      );
    }
    const width = Number(match[3] ?? 4) as Place['width'];
    return { slot: Number(match[1]), offset: Number(match[2]), width };
  }

  async #read({ slot, offset, width, register }: Place): Promise<string> {
    const value =
      width === 8
        ? await this.#fn.readBar64(slot, offset)
        : await this.#fn.readBar(slot, offset, width);
    const text = `0x${value.toString(16).padStart(width * 2, '0')}`;
    const fields = register === undefined ? '' : formatFields(register, value);
    return fields === '' ? text : `${text}  ${fields}`;
  }

  async #write({ slot, offset, width }: Place, value: bigint): Promise<void> {
    if (width === 8) await this.#fn.writeBar64(slot, offset, BigInt.asUintN(64, value));
    else await this.#fn.writeBar(slot, offset, width, Number(BigInt.asUintN(width * 8, value)));
  }
}

function number(text: string | undefined): bigint {
  const match = /^(-?)(0x[\da-f]+|\d+)$/i.exec(text ?? '');
  if (match === null) {
    throw new ShellError(`Cannot read the number ${text ?? ''}: write it as 42 or 0x2a`);
  }
  const value = BigInt(match[2] as string);
  return match[1] === '-' ? -value : value;
}
