import { type Command, Option } from 'commander';
import { HOST_NAMES } from '../hosts/host.ts';

/** Adds `--host` to a command. */
export function addHostOption(
  command: Command,
  description = "host to run on; default: $HDVKIT_HOST, else the platform's own",
): Command {
  return command.addOption(new Option('--host <name>', description).choices(HOST_NAMES));
}
