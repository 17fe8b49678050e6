import type { Command } from 'commander';
import { ComputeSystem } from '../../hcs/compute-system.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';

/** Says that files go where the word is. */
const FILES = ':file\n';

/** Arguments that are ids of systems, by the names that commands give them. */
const IDS: readonly string[] = ['system', 'template'];
const PATHS: readonly string[] = ['file', 'document'];

/** Options whose values are files. */
const PATH_OPTIONS: readonly string[] = ['socket', 'document', 'pipe'];

/** How long a service may take to tell its ids: a person waits for the key. */
const PATIENCE_MS = 1000;

/**
 * The answers for the last of some words, each a line: the word, a tab, and what it is. Says nothing where something is
 * wrong, as nobody would see it; starts no service.
 */
export async function complete(
  program: Command,
  context: HcsContext,
  words: readonly string[],
): Promise<readonly string[]> {
  const given = words.slice(0, -1);
  const typed = words.at(-1) ?? '';
  const names = (command: Command): readonly string[] => [command.name(), ...command.aliases()];
  const command = program.commands.find((each) => names(each).includes(given[0] ?? ''));
  if (given.length === 0 || command === undefined) {
    return given.length > 0 ? [] : answers(typed, visibleCommands(program));
  }
  const { values, position, isLiteral, waiting } = read(command, given.slice(1));
  if (waiting !== undefined) return ofOption(typed, waiting);
  if (typed.startsWith('-') && !isLiteral) return answers(typed, optionsOf(command));
  const { registeredArguments } = command;
  const argument =
    registeredArguments[position] ?? registeredArguments.findLast(({ variadic }) => variadic);
  if (argument === undefined) return [];
  if (argument.argChoices) return answers(typed, argument.argChoices.map(plain));
  const name = argument.name();
  if (PATHS.includes(name)) return [FILES];
  if (!IDS.includes(name)) return [];
  return answers(typed, await ids(context, values));
}

interface Read {
  readonly values: ServiceOptions;
  /** How many arguments there are before. */
  readonly position: number;
  /** After `--`. */
  readonly isLiteral: boolean;
  /** The option whose value comes next. */
  readonly waiting: Command['options'][number] | undefined;
}

function read(command: Command, words: readonly string[]): Read {
  const values: Record<string, string | boolean> = {};
  let position = 0;
  let isLiteral = false;
  let waiting: Read['waiting'];
  for (const word of words) {
    if (waiting !== undefined) {
      values[waiting.attributeName()] = word;
      waiting = undefined;
    } else if (!isLiteral && word === '--') {
      isLiteral = true;
    } else if (!isLiteral && word.startsWith('-') && word !== '-') {
      const [flag, value] = word.split(/=(.*)/s);
      const option = command.options.find(({ short, long }) => flag === short || flag === long);
      if (option?.required && value === undefined) waiting = option;
      else if (option !== undefined) values[option.attributeName()] = value ?? true;
    } else {
      position++;
    }
  }
  return { values, position, isLiteral, waiting };
}

function ofOption(typed: string, option: Command['options'][number]): readonly string[] {
  if (option.argChoices) return answers(typed, option.argChoices.map(plain));
  return PATH_OPTIONS.includes(option.name()) ? [FILES] : [];
}

/** Ids, with the state of each; none where no service runs. */
async function ids(
  { connect }: HcsContext,
  options: ServiceOptions,
): Promise<readonly (readonly [string, string])[]> {
  if (options.embedded) return [];
  try {
    const host = await connect({ ...options, running: true });
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const systems = await ComputeSystem.enumerate(undefined, { core: host.core, signal });
      return systems.map(({ Id = '', State = '' as const }) => [Id, State] as const);
    } finally {
      await host.close();
    }
  } catch {
    return [];
  }
}

function visibleCommands(program: Command): readonly (readonly [string, string])[] {
  return program.commands
    .filter((command) => !command.name().startsWith('_'))
    .map((command) => [command.name(), command.summary()] as const);
}

function optionsOf(command: Command): readonly (readonly [string, string])[] {
  return [
    ...command.options.map(({ long, description }) => [long ?? '', description] as const),
    ['--help', 'show help for the command'],
  ];
}

function answers(typed: string, found: readonly (readonly [string, string])[]): readonly string[] {
  return found
    .filter(([word]) => word.startsWith(typed))
    .map(([word, what]) => (what === '' ? `${word}\n` : `${word}\t${what}\n`));
}

function plain(word: string): readonly [string, string] {
  return [word, ''];
}
