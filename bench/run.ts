/**
 * `npm run bench [NAME …] [-- OPTION …]`: runs the benchmarks one after the other, each in a process of its own, keeps
 * each result in bench/results/, and makes the page of them. What this machine has no tool for is left out, unless it was
 * named. Options are handed on: `npm run bench slot -- --rounds 5`.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ExitCode, presentFailure } from '../src/cli/failure.ts';

const folder = new URL('./', import.meta.url);
const notBenchmarks = ['run.ts', 'report.ts', 'page.ts'];
const SOURCE = ['--import', 'tsx', '--conditions=hdvkit-source'] as const;

const all = readdirSync(folder)
  .filter((name) => name.endsWith('.ts') && !notBenchmarks.includes(name))
  .map((name) => name.slice(0, -3));

function node(file: string, ...args: readonly string[]): number {
  const path = fileURLToPath(new URL(file, folder));
  const { status } = spawnSync(process.execPath, [...SOURCE, path, ...args], { stdio: 'inherit' });
  return status ?? ExitCode.INTERRUPTED;
}

/** Runs one in this process, and ends as the command line does. */
async function runOne(name: string): Promise<void> {
  try {
    await import(new URL(`${name}.ts`, folder).href);
  } catch (error) {
    const { text, code } = presentFailure(error);
    process.stderr.write(text);
    process.exit(code);
  }
}

/** @param options what is handed on to each */
function runAll(wanted: readonly string[], options: readonly string[]): number {
  const unknown = wanted.filter((name) => !all.includes(name));
  if (unknown.length > 0) {
    console.error(`Cannot run benchmark ${unknown.join(', ')}: there are ${all.join(', ')}`);
    return ExitCode.BAD_INPUT;
  }
  let code: number = ExitCode.DONE;
  for (const name of wanted.length > 0 ? wanted : all) {
    const json = fileURLToPath(new URL(`results/${name}.json`, folder));
    const status = node('run.ts', '--only', name, '--json', json, ...options);
    if (status >= ExitCode.HUNG_UP) return status;
    if (status === ExitCode.BAD_INPUT && wanted.length === 0) console.error(`Left out: ${name}`);
    else if (status !== ExitCode.DONE) code = ExitCode.FAILED;
  }
  return node('page.ts') === ExitCode.DONE ? code : ExitCode.FAILED;
}

const words = process.argv.slice(2);
const [first, second] = words;
if (first === '--only' && second !== undefined && all.includes(second)) {
  await runOne(second);
} else {
  const option = words.findIndex((word) => word.startsWith('-'));
  const names = option < 0 ? words : words.slice(0, option);
  process.exitCode = runAll(names, words.slice(names.length));
}
