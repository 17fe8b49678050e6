import { createRequire } from 'node:module';

// By an import, Node would read each file of the package a second time, to find what it exports: 8 ms of each command.
const library = createRequire(import.meta.url)('commander') as typeof import('commander');

/** What this package uses of the library for command lines, loaded in the shortest time. */
export const { Argument, Command, CommanderError, InvalidArgumentError, Option } = library;
export type Command = import('commander').Command;
