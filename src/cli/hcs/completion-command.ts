import { Argument, type Command } from 'commander';
import { addExamples } from './command-options.ts';
import type { HcsContext } from './service-host.ts';
import { SHELLS, type Shell } from './shells.ts';

/** Adds `hcs completion`, and what its scripts call. */
export function addCompletion(program: Command, context: HcsContext): void {
  const command = program
    .command('completion')
    .summary('print a script that completes commands and ids')
    .description(
      'Prints a script for a shell, which then completes commands, options and ids of systems.',
    )
    .addArgument(new Argument('<shell>', 'for which shell').choices(SHELLS));
  addExamples(
    command,
    'hcs completion bash > ~/.local/share/bash-completion/completions/hcs',
    'hcs completion zsh > ~/.zfunc/_hcs        with ~/.zfunc in $fpath before compinit',
    'hcs completion fish > ~/.config/fish/completions/hcs.fish',
  ).action(async (shell: Shell) => {
    const { completionScript } = await import('./completion-scripts.ts');
    process.stdout.write(completionScript(shell));
  });
  program
    .command('__complete', { hidden: true })
    .argument('<form>', 'words, or bash with a line to split')
    .argument('[word...]')
    .helpOption(false)
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (form: string, given: readonly string[]) => {
      const [{ complete }, { shellWords }] = await Promise.all([
        import('./complete.ts'),
        import('./shell-words.ts'),
      ]);
      const words = form === 'bash' ? shellWords(given[0] ?? '').slice(1) : given;
      process.stdout.write((await complete(program, context, words)).join(''));
    });
}
