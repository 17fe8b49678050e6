/**
 * `npm run test:windows [WORD…]`: runs the tests for Windows by a Windows Node under Wine, those whose path contains a
 * word, or all. Writes counts to `.test-report/windows.json`. With `--next` (`npm run test:windows-next`): the newest Node,
 * under a newer Wine that is fetched.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ProvisionError } from '../../../src/provision/provision-error.ts';
import { takeLock } from '../../../src/provision/provision-lock.ts';
import type { ProvisionProgress } from '../../../src/provision/provision-options.ts';
import { canBuildStandIns } from '../build-stand-ins.ts';
import { MINGW_GCC } from '../mingw.ts';
import { buildForWindows } from './build.ts';
import { installLibraries } from './install.ts';
import { newestNode, provisionNextWine } from './next.ts';
import { laneCache, provisionLane, type WindowsLane } from './provision.ts';
import type { FileReport } from './report.ts';
import { runFile } from './run-file.ts';
import { selectTests, windowsTests } from './suites.ts';
import { endWine, findWine } from './wine.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const inCi = process.env.CI === 'true';

/** Failures of one file that are shown. */
const MOST_FAILURES = 12;

const print = (text: string): void => void process.stdout.write(`${text}\n`);
const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1);

let step = '';
function progress(next: ProvisionProgress): void {
  if (next.step !== step) print(`  ${next.step}`);
  step = next.step;
}

/** Runs the files, two at a time, and prints each as it ends. */
async function runAll(lane: WindowsLane, files: readonly string[]): Promise<FileReport[]> {
  const reports: FileReport[] = [];
  const queue = [...files];
  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const started = performance.now();
      const report = await runFile(lane, file);
      reports.push(report);
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

async function main(args: readonly string[]): Promise<boolean> {
  const isNext = args.includes('--next');
  const words = args.filter((word) => word !== '--next');
  const program = isNext ? await provisionNextWine({ progress }) : findWine();
  const compiles = canBuildStandIns('dll');
  if ((program === undefined || !compiles) && !inCi) {
    const absent = program === undefined ? 'Wine' : MINGW_GCC;
    print(`Skipped the tests for Windows: there is no ${absent} here`);
    print('To run them: apt-get install wine64 wine gcc-mingw-w64-x86-64-win32');
    return true;
  }
  const node = isNext ? await newestNode() : undefined;
  const lane = await provisionLane({ wine: program, node, progress });
  // One run at a time: the prefix has one set of system libraries, and the build one folder.
  using _lock = await takeLock(join(laneCache(), 'locks', 'run'), {
    waiting: (pid) => print(`  wait for process ${pid}, which runs these tests`),
  });
  try {
    await installLibraries(lane.wine);
    buildForWindows(lane.packages);
    const started = performance.now();
    const files = selectTests(windowsTests(root), words, root);
    if (files.length === 0)
      throw new Error(`Cannot find a test for Windows named ${words.join(' ')}`);
    const reports = await runAll(lane, files);
    const sum = (count: (report: FileReport) => number): number =>
      reports.reduce((total, report) => total + count(report), 0);
    const passed = sum((report) => report.passed);
    const failed = sum((report) => report.failed);
    const skipped = sum((report) => report.skipped);
    mkdirSync(join(root, '.test-report'), { recursive: true });
    writeFileSync(
      join(root, '.test-report/windows.json'),
      JSON.stringify({ passed, failed, skipped }),
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
  process.exitCode = 1;
}
