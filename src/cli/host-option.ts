import { type Command, Option } from 'commander';
import { HOST_NAMES } from '../hosts/host.ts';

/** Adds `--host` to a command. */
export function addHostOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--host <name>',
      "host to run on; default: $HDVKIT_HOST, else the platform's own",
    ).choices(HOST_NAMES),
  );
}
