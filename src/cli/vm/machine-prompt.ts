import { createInterface, type Interface } from 'node:readline';
import { CommanderError } from 'commander';
import { presentFailure } from '../failure.ts';
import { errorColors } from '../terminal.ts';
import type { MachineOutput } from './machine-output.ts';
import { promptCommands, type Sequel } from './prompt-commands.ts';
import type { RunningMachine } from './running-machine.ts';

/** The prompt that Ctrl-] opens: one command a line. */
export class MachinePrompt {
  readonly #machine: RunningMachine;
  readonly #output: MachineOutput;
  readonly #hasConsole: boolean;
  #lines: Interface | undefined;

  /** @param hasConsole there is a console to go back to */
  constructor(machine: RunningMachine, output: MachineOutput, hasConsole: boolean) {
    this.#machine = machine;
    this.#output = output;
    this.#hasConsole = hasConsole;
  }

  /** Takes commands until the user goes back to the console, the machine has ended or `aborted` says so. */
  async interact(exited: Promise<unknown>, aborted: Promise<void>): Promise<'left' | 'ended'> {
    const lines = createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt: errorColors().bold('hdvkit> '),
      completer: (line: string) => this.#complete(line),
    });
    this.#lines = lines;
    // A terminal that readline has is raw: Ctrl-C comes as a key.
    lines.on('SIGINT', () => process.emit('SIGINT'));
    const typed = new TypedLines(lines);
    const over = Promise.race([exited.catch(() => undefined), aborted]).then(() => undefined);
    try {
      for (;;) {
        lines.prompt();
        const line = await Promise.race([typed.next(), over]);
        if (line === undefined) return 'ended';
        const sequel = line === null ? this.#endOfInput() : await this.#run(line, over);
        if (sequel === 'console') return 'left';
        if (sequel === 'ended') return 'ended';
      }
    } finally {
      this.close();
    }
  }

  /** Says something without spoiling the line that is being typed. */
  remark(line: string): void {
    process.stderr.write(`\r\u001b[K${line}\n`);
    this.#lines?.prompt(true);
  }

  /** Gives the terminal back. Safe to call twice. */
  close(): void {
    this.#lines?.close();
    this.#lines = undefined;
  }

  /** @returns 'ended' when the machine did meanwhile */
  async #run(line: string, over: Promise<undefined>): Promise<Sequel | 'ended'> {
    const words = splitWords(line);
    if (words.length === 0) return this.#hasConsole ? 'console' : 'prompt';
    const state: { sequel: Sequel } = { sequel: 'prompt' };
    const commands = promptCommands({
      machine: this.#machine,
      hasConsole: this.#hasConsole,
      say: (text) => process.stdout.write(`${text}\n`),
      goOn: (sequel) => {
        state.sequel = sequel;
      },
    });
    const running = commands.parseAsync(words, { from: 'user' }).then(
      () => state.sequel,
      (error: unknown) => {
        // Commander has printed its own by now.
        if (!(error instanceof CommanderError)) {
          this.#output.remark(presentFailure(error).text.trimEnd());
        }
        return 'prompt' as const;
      },
    );
    return (await Promise.race([running, over])) ?? 'ended';
  }

  /** Ctrl-D. */
  #endOfInput(): Sequel {
    if (this.#hasConsole) return 'console';
    process.emit('SIGINT');
    return 'ended';
  }

  #complete(line: string): [string[], string] {
    const { commands } = promptCommands({
      machine: this.#machine,
      hasConsole: this.#hasConsole,
      say: () => undefined,
      goOn: () => undefined,
    });
    const names = commands.map((command) => command.name());
    return [names.filter((name) => name.startsWith(line)), line];
  }
}

/** Lines as they are asked for: who pastes several gets all of them carried out. */
class TypedLines {
  readonly #lines: string[] = [];
  #isClosed = false;
  #wake: () => void = () => undefined;

  constructor(lines: Interface) {
    lines.on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    lines.once('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  /** @returns null when there are no more */
  async next(): Promise<string | null> {
    while (this.#lines.length === 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#lines.shift() ?? null;
  }
}

/** What a terminal sends for keys that the line editor does not know, Ctrl-] among them: nobody sees it in the line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is meant
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/g;

/** Words of a line; quotes keep spaces. */
function splitWords(line: string): readonly string[] {
  return [...line.replace(CONTROL, '').matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain ?? '',
  );
}
