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
      '\nExamples:\n  $ hdvkit error 0x8037010D\n  $ hdvkit error -2147024891\n  $ hdvkit error ERROR_VMCOMPUTE_SYSTEM_NOT_FOUND',
    )
    .action(async (code: string, options: { readonly json?: boolean }) => {
      const { showError } = await import('./errors/show-error.ts');
      showError(code, options);
    });
}
