/**
 * `npm test`: type check, lint, build, unit tests, the tests for Windows under Wine, and the tests on a real guest, in
 * that order, each step shown as it runs. `--long` runs the long forms of the repeated tests. With CI=true a test of Vitest
 * that fails is tried a second time. At the end what failed is told again, what passed only then, and what was skipped; the
 * last line counts the tests of the runners' own reports.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { BUILD_VARIABLE, sourceDigest } from './built-package.ts';
import {
  describeFailedTests,
  type FailedTest,
  failedTests,
  retriedTests,
  skippedTests,
  type VitestReport,
} from './failed-tests.ts';
import { ensureTools } from './tools.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const reports = new URL('../.test-report/', import.meta.url);
const inCi = process.env.CI === 'true';
const long = process.argv.includes('--long');
const environment: NodeJS.ProcessEnv = {
  ...process.env,
  ...(long ? { HDVKIT_LONG: '1' } : {}),
};

/** How test/windows/wine/run.ts ends when something that it needs cannot be fetched. */
const CANNOT_PROVISION = 3;

/** What Node needs to run a file of this project. */
const SOURCE = ['--import', 'tsx', '--conditions=hdvkit-source'] as const;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  readonly failures: FailedTest[];
  readonly retried: FailedTest[];
  readonly notRun: FailedTest[];
}

/** Runs one command with its output shown; resolves to whether it ended with code 0. */
const run = async (title: string, command: string, args: readonly string[]): Promise<boolean> =>
  (await exitCode(title, command, args)) === 0;

/** The same, with the code itself; null when it was killed or could not be started. */
function exitCode(title: string, command: string, args: readonly string[]): Promise<number | null> {
  const started = performance.now();
  process.stdout.write(`\n── ${title}\n`);
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env: environment, stdio: 'inherit' });
    child.on('error', (error) => {
      process.stdout.write(`Cannot run ${command}: ${error.message}\n`);
      resolve(null);
    });
    child.on('exit', (code) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      process.stdout.write(`── ${title}: ${code === 0 ? 'done' : 'FAILED'} after ${seconds} s\n`);
      resolve(code);
    });
  });
}

/** Adds what Vitest's JSON report counted. A missing report means that the runner itself did not come up. */
function count(file: URL, into: Counts): boolean {
  if (!existsSync(file)) return false;
  const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
  into.passed += report.numPassedTests;
  into.failed += report.numFailedTests;
  into.skipped += report.numPendingTests + report.numTodoTests;
  // A suite that fails to load counts no test, and must not count as nothing.
  if (report.numFailedTests === 0 && !report.success)
    into.failed += report.numFailedTestSuites || 1;
  into.failures.push(...failedTests(report, root));
  into.retried.push(...retriedTests(report, root));
  into.notRun.push(...skippedTests(report, root));
  return true;
}

/** Runs one Vitest project and adds its counts; resolves to whether everything in it passed. */
async function vitest(project: string, into: Counts): Promise<boolean> {
  const report = new URL(`${project}.json`, reports);
  const passed = await run(`tests: ${project}`, process.execPath, [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--project',
    project,
    ...(inCi ? ['--retry=1'] : []),
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${fileURLToPath(report)}`,
  ]);
  return count(report, into) && passed;
}

/** Runs the tests for Windows, or says why it cannot, and adds their counts; resolves to whether nothing was wrong. */
async function windows(into: Counts): Promise<boolean> {
  const code = await exitCode('tests: windows', process.execPath, [
    ...SOURCE,
    'test/windows/wine/run.ts',
    ...(long ? ['--all'] : []),
  ]);
  const report = new URL('windows.json', reports);
  if (!existsSync(report)) {
    if (code === CANNOT_PROVISION && !inCi) {
      process.stdout.write('Skipped the tests for Windows, for the reason given above\n');
      return true;
    }
    return code === 0 && !inCi;
  }
  const counts = JSON.parse(readFileSync(report, 'utf8')) as Counts;
  into.passed += counts.passed;
  into.failed += counts.failed;
  into.skipped += counts.skipped;
  into.failures.push(...counts.failures);
  return code === 0;
}

rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

const counts: Counts = { passed: 0, failed: 0, skipped: 0, failures: [], retried: [], notRun: [] };
const failedSteps: string[] = [];
const step = async (title: string, result: Promise<boolean>): Promise<void> => {
  if (!(await result)) failedSteps.push(title);
};

const bin = (name: string): string => `node_modules/.bin/${name}`;
await step('tools', ensureTools());
await step('type check', run('type check', bin('tsc'), ['-p', 'tsconfig.json']));
await step('lint', run('lint', bin('biome'), ['check', '--error-on-warnings', '.']));
const source = sourceDigest();
await step('build', run('build', 'npm', ['run', '--silent', 'build']));
// Tests run the commands that were built: of what was there when the build began.
if (!failedSteps.includes('build')) environment[BUILD_VARIABLE] = source;
await step('unit tests', vitest('unit', counts));

await step('tests for Windows', windows(counts));

const provisioned = await run('provision the real guest', process.execPath, [
  ...SOURCE,
  'src/cli/main.ts',
  'provision',
]);
if (provisioned) {
  await step('guest tests', vitest('guest', counts));
} else if (inCi) {
  failedSteps.push('provisioning');
} else {
  process.stdout.write('Skipped the tests on a real guest, for the reason given above\n');
}

const tell = (title: string, tests: readonly FailedTest[]): void => {
  if (tests.length === 0) return;
  process.stdout.write(`\n── ${title}\n${stripVTControlCharacters(describeFailedTests(tests))}`);
};
tell('what was skipped', counts.notRun);
tell('what passed only at its second attempt', counts.retried);
tell('what failed', counts.failures);
if (failedSteps.length > 0) process.stdout.write(`\nFailed: ${failedSteps.join(', ')}\n`);
process.stdout.write(
  `\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`,
);
process.exitCode = failedSteps.length > 0 || counts.failed > 0 || counts.passed === 0 ? 1 : 0;
