import type { Command } from 'commander';
import type { SchemaOptions } from './documents/show-schema.ts';

/** Adds `hdvkit schema`. */
export function addSchema(program: Command): void {
  program
    .command('schema')
    .summary('list the types of documents, or show one')
    .description(
      'Lists the types of the documents of the Host Compute System, or shows one: its fields, their types and values, and the schema version that brought each.',
    )
    .argument('[type]', 'type to show, ComputeSystem for example')
    .option('--json', 'print the same as JSON')
    .option('--json-schema', 'print the type, and all that it needs, as a JSON Schema for editors')
    .addHelpText('after', examples(program.name()))
    .action(async (type: string | undefined, options: SchemaOptions) => {
      const { showSchema } = await import('./documents/show-schema.ts');
      showSchema(type, options);
    });
}

const examples = (name: string): string => `
Examples:
  $ ${name} schema                                       all types
  $ ${name} schema VirtualMachine
  $ ${name} schema ComputeSystem --json-schema > machine.schema.json
An editor completes and checks a document that begins with { "$schema": "./machine.schema.json", … };
leave that key out, or map the schema in the settings of the editor, as the service does not know it.`;
