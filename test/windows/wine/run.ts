/**
 * `npm run test:windows [-- [--all] [WORD…]]`: runs the tests for Windows by a Windows Node under Wine: those that use the
 * system (see suites.ts); with `--all`, or with words, also those that are JavaScript alone; with words, those whose
 * path contains one. Writes counts and failures to `.test-report/windows.json`. With `--next` (`npm run test:windows-next`): the newest
 * Node, under a newer Wine that is fetched.
 *
 * Where Wine or its compiler is missing it says so and ends with 0, but not with CI=true. Ends with 3 when something
 * cannot be fetched.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ProvisionError } from '../../../src/provision/provision-error.ts';
import type { ProvisionProgress } from '../../../src/provision/provision-options.ts';
import type { FailedTest } from '../../failed-tests.ts';
import { canBuildStandIns } from '../build-stand-ins.ts';
import { MINGW_GCC } from '../mingw.ts';
import { buildFolder, buildForWindows } from './build.ts';
import { installLibraries } from './install.ts';
import { lockLane } from './lane-lock.ts';
import { newestNode, provisionNextWine } from './next.ts';
import { INSTALL, laneCache, provisionLane, type WindowsLane } from './provision.ts';
import type { FileReport } from './report.ts';
import { runFile } from './run-file.ts';
import { selectTests, windowsTests } from './suites.ts';
import { endWine, endWineWithProcess, findWine, type WineProgram } from './wine.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const inCi = process.env.CI === 'true';

/** How it ends when something cannot be had. */
const CANNOT_PROVISION = 3;

/** Failures of one file that are shown. */
const MOST_FAILURES = 12;

const print = (text: string): void => void process.stdout.write(`${text}\n`);
const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1);

let step = '';
function progress(next: ProvisionProgress): void {
  if (next.step !== step) print(`  ${next.step}`);
  step = next.step;
}

/** What a test file did, and which it is. */
interface NamedReport extends FileReport {
  readonly file: string;
}

/** Runs the files, two at a time, and prints each as it ends. */
async function runAll(lane: WindowsLane, files: readonly string[]): Promise<NamedReport[]> {
  const reports: NamedReport[] = [];
  const queue = [...files];
  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const started = performance.now();
      const report = await runFile(lane, file);
      reports.push({ ...report, file });
      const { passed, failed, skipped, failures } = report;
      const more = `${failed > 0 ? `, ${failed} FAILED` : ''}${skipped > 0 ? `, ${skipped} skipped` : ''}`;
      print(`  ${failed > 0 ? '✗' : '✓'} ${file}: ${passed} passed${more} (${seconds(started)} s)`);
      for (const { title, text } of failures.slice(0, MOST_FAILURES)) {
        print(`      ✗ ${title}\n${text.replace(/^/gm, '        ')}`);
      }
      if (failures.length > MOST_FAILURES) print('      …');
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
  return reports;
}

function namedFailures({ file, failures }: NamedReport): FailedTest[] {
  return failures.map(({ title, text }) => ({ name: `${file} › ${title} (Windows)`, text }));
}

const OPTIONS = ['--all', '--next'];

/** What is missing here to run the tests, in words. */
function whatIsMissing(program: WineProgram | undefined): string | undefined {
  if (program === undefined) return 'Wine';
  return canBuildStandIns('dll') ? undefined : MINGW_GCC;
}

async function main(args: readonly string[]): Promise<boolean> {
  const words = args.filter((word) => !word.startsWith('--'));
  const unknown = args.find((word) => word.startsWith('--') && !OPTIONS.includes(word));
  if (unknown !== undefined) {
    print(
      `Cannot run the tests for Windows with ${unknown}: the options are ${OPTIONS.join(', ')}`,
    );
    return false;
  }
  const isNext = args.includes('--next');
  const files = selectTests(
    windowsTests(root, args.includes('--all') || words.length > 0 ? 'all' : 'system'),
    words,
    root,
  );
  if (files.length === 0) {
    print(`Cannot find a test for Windows whose path contains ${words.join(' or ')}`);
    return false;
  }
  const program = isNext ? await provisionNextWine({ progress }) : findWine();
  const missing = whatIsMissing(program);
  if (missing !== undefined && inCi) {
    throw new ProvisionError(`Cannot run the tests for Windows: there is no ${missing}`, INSTALL);
  }
  if (missing !== undefined) {
    print(`Skipped the tests for Windows: there is no ${missing} here`);
    print(`To run them: ${INSTALL}`);
    return true;
  }
  const node = isNext ? await newestNode() : undefined;
  const lane = await provisionLane({ wine: program, node, progress });
  using _lock = await lockLane({ cache: laneCache(), build: buildFolder }, print);
  // What a run that was killed has left works on the same files.
  endWine(lane.wine);
  endWineWithProcess(lane.wine);
  try {
    const building = performance.now();
    await installLibraries(lane.wine);
    buildForWindows(lane.packages);
    print(`  built for Windows (${seconds(building)} s)`);
    const started = performance.now();
    const reports = await runAll(lane, files);
    const sum = (count: (report: FileReport) => number): number =>
      reports.reduce((total, report) => total + count(report), 0);
    const passed = sum((report) => report.passed);
    const failed = sum((report) => report.failed);
    const skipped = sum((report) => report.skipped);
    mkdirSync(join(root, '.test-report'), { recursive: true });
    writeFileSync(
      join(root, '.test-report/windows.json'),
      JSON.stringify({ passed, failed, skipped, failures: reports.flatMap(namedFailures) }),
    );
    print(
      `Windows Node ${node?.version ?? '22'} under Wine ${lane.wine.version}: ${passed} passed, ${failed} failed, ${skipped} skipped, in ${files.length} files (${seconds(started)} s)`,
    );
    return failed === 0 && passed > 0;
  } finally {
    endWine(lane.wine);
  }
}

try {
  process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
} catch (error) {
  if (!(error instanceof ProvisionError)) throw error;
  print(error.message);
  process.exitCode = CANNOT_PROVISION;
}
