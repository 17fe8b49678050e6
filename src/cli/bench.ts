import { Command } from 'commander';
import { moduleExtension } from '../transport/typescript-loader.ts';
import { BENCHMARKS, type BenchmarkEntry } from './bench-catalog.ts';
import { nonNegativeInteger } from './non-negative-integer.ts';
import { positiveInteger } from './positive-integer.ts';
import { colors, print } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** Adds `hdvkit bench` with a subcommand for each benchmark. */
export function addBench(program: Command): void {
  const bench = program
    .command('bench')
    .summary('measure what an access costs on this machine')
    .description(
      'Measures this package on this machine, or any vfio-user server. Without a name it lists the benchmarks. Each prints medians with the smallest and largest round, the machine and the versions; other work on the machine shows in the figures.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ hdvkit bench\n  $ hdvkit bench dispatch --json dispatch.json\n  $ hdvkit bench vfio-user --socket /tmp/mine.sock --versus /tmp/other.sock',
    )
    .argument('[name]', 'benchmark to run')
    .action(list);
  for (const entry of BENCHMARKS) addEntry(bench, entry);
}

function list(unknown?: string): void {
  if (unknown !== undefined) {
    throw new UsageError(
      `Cannot run benchmark ${unknown}: there is none of this name`,
      `choose from ${BENCHMARKS.map(({ name }) => name).join(', ')}`,
    );
  }
  const c = colors();
  const width = Math.max(...BENCHMARKS.map(({ name }) => name.length));
  for (const { name, question, needs, seconds } of BENCHMARKS) {
    print(`  ${c.bold(name.padEnd(width))}  ${question}`);
    const time = seconds < 60 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
    const what = needs === undefined ? '' : `; needs ${needs}`;
    print(`  ${' '.repeat(width)}  ${c.dim(`about ${time}${what}`)}`);
  }
  print();
  print('  Run one with hdvkit bench NAME; --help has its options.');
}

function addEntry(
  bench: Command,
  { name, question, needs, rounds, devices = false }: BenchmarkEntry,
): void {
  const command = new Command(name)
    .summary(question)
    .description(needs === undefined ? question : `${question} Needs ${needs}.`)
    .copyInheritedSettings(bench)
    .option('--json <file>', 'store the figures, every sample and what they were measured on');
  if (rounds) command.option('--rounds <n>', 'how often each thing is measured', positiveInteger);
  if (devices) command.option('--devices <n>', 'how many devices are attached', positiveInteger);
  if (name === 'guest') {
    command.option('--boots <n>', 'how often a guest is booted, default 3', positiveInteger);
  }
  if (name === 'vfio-user') addServerOptions(command);
  // The program reads the same words again: it can be run without this command, too.
  command.action(async () => {
    await import(new URL(`../../bench/${name}${moduleExtension}`, import.meta.url).href);
  });
  bench.addCommand(command);
}

function addServerOptions(command: Command): void {
  command
    .option('--socket <path>', 'measure the server that listens there, and not the sample device')
    .option('--versus <path>', 'a second server, measured in the same rounds')
    .option('--region <n>', 'region of the register: 0 to 5 are the BARs', nonNegativeInteger)
    .option('--offset <n>', 'offset of the register that is read, 4 bytes', nonNegativeInteger)
    .option(
      '--write-offset <n>',
      'offset of the register that is written, with what was read there (default: that of --offset)',
      nonNegativeInteger,
    )
    .option('--read-only', 'never write: the register has effects')
    .option('--timeout <ms>', 'longest wait for an answer, default 5000', positiveInteger)
    .addHelpText(
      'after',
      '\nThe register is read and written tens of thousands of times; choose one without effects.\n\nExamples:\n  $ hdvkit bench vfio-user\n  $ hdvkit serve edu.ts --socket /tmp/edu.sock &\n  $ hdvkit bench vfio-user --socket /tmp/edu.sock --offset 0 --write-offset 4\n  $ hdvkit bench vfio-user --socket /tmp/edu.sock --versus /tmp/c.sock --read-only',
    );
}
