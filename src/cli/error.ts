import type { Command } from 'commander';

/** Adds `hdvkit error`. */
export function addError(program: Command): void {
  program
    .command('error')
    .summary('explain an HRESULT')
    .description(
      'Explains an error code of the Host Compute System and of what surfaces through it: its name and numbers, what it means, what usually causes it, what to do, and which functions give it. Any other HRESULT is taken apart.',
    )
    .argument(
      '<code>',
      'a number (0x8037010D, 8037010D, -2143878899, 2151088397) or a name (HCS_E_INVALID_JSON)',
    )
    .option('--json', 'print the same as JSON')
    .addHelpText(
      'after',
      ['', 'Examples:', ...EXAMPLES.map((code) => `  $ ${program.name()} error ${code}`)].join(
        '\n',
      ),
    )
    .action(async (code: string, options: { readonly json?: boolean }) => {
      const { showError } = await import('./errors/show-error.ts');
      showError(code, options);
    });
}

const EXAMPLES = ['0x8037010D', '-2147024891', 'ERROR_VMCOMPUTE_SYSTEM_NOT_FOUND'] as const;
