import type { Command } from 'commander';
import type { ValidateOptions } from './documents/validate-files.ts';
import { addHostOption } from './host-option.ts';

/** Adds `hdvkit validate`. */
export function addValidate(program: Command): void {
  const command = program
    .command('validate')
    .summary('check documents against the schema')
    .description(
      'Checks documents of the Host Compute System and says everything that is wrong with them: line, column, JSON path, value, and what was probably meant. Comments and trailing commas are allowed. Ends with 1 when a document has problems, with 2 when one cannot be read.',
    )
    .argument('<file...>', 'JSON files; - is standard input')
    .option('--type <type>', 'type of the documents (schema lists them)', 'ComputeSystem')
    .option('--json', 'print the findings as JSON');
  addHostOption(command, 'host whose engine is asked, too, what it cannot honour; default: none')
    .addHelpText('after', examples(program.name()))
    .action(async (paths: readonly string[], options: ValidateOptions) => {
      const { validateFiles } = await import('./documents/validate-files.ts');
      await validateFiles(paths, options);
    });
}

const examples = (name: string): string => `
Examples:
  $ ${name} validate machine.json
  $ ${name} validate machine.json --host linux           also what QEMU is not asked to do
  $ ${name} validate change.json --type ModifySettingRequest
  $ jq .document all.json | ${name} validate - --json`;
