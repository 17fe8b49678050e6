import type { Command } from 'commander';
import { ExitCode, outputFailureCode, type Presentation, setProgramName } from './failure.ts';

/** Runs the command line of this process: a failure is presented and becomes the exit code. */
export async function runProgram(
  program: Command,
  present: (error: unknown) => Presentation | Promise<Presentation>,
): Promise<void> {
  setProgramName(program.name());
  let isOutputFailureTold = false;
  // `hdvkit show x.ts | head -1`: what nobody reads is not written, and nobody is told. A full disk is told.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exitCode = outputFailureCode(error);
    if (process.exitCode !== ExitCode.OUTPUT_CLOSED && !isOutputFailureTold) {
      process.stderr.write(`${program.name()}: Cannot write standard output: ${error.message}\n`);
    }
    isOutputFailureTold = true;
  });
  process.stderr.on('error', () => undefined);
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    const { text, code } = await present(error);
    process.stderr.write(text);
    process.exitCode = code;
  }
}
