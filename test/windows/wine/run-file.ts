import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { builtFolder } from './build.ts';
import type { WindowsLane } from './provision.ts';
import { type FileReport, readReport } from './report.ts';
import { runWine, windowsPath } from './wine.ts';

/**
 * Milliseconds without the end of a test after which a file is killed: tests have shorter limits of their own. Not of the
 * file as a whole: a loaded machine takes its time.
 */
const TIME_LIMIT = process.env.HDVKIT_LONG === '1' ? 600_000 : 300_000;

/** The URL of a built module, as Windows programs under Wine name it. */
function windowsUrl(path: string): string {
  return `file:///${windowsPath(path).replaceAll('\\', '/')}`;
}

/**
 * Runs one built test file by Windows Node under Wine.
 *
 * About one start in 900 ends at once without a word: such a run, and no other, is done again.
 *
 * @param file path of the TypeScript file below the project's root
 */
export async function runFile(lane: WindowsLane, file: string): Promise<FileReport> {
  const reports = join(builtFolder, 'reports');
  mkdirSync(reports, { recursive: true });
  const name = file.replaceAll('/', '-');
  const [output, report] = [join(reports, `${name}.txt`), join(reports, `${name}.jsonl`)];
  const args = [
    lane.node,
    '--enable-source-maps',
    `--test-reporter=${windowsUrl(join(builtFolder, 'test/windows/wine/reporter.js'))}`,
    `--test-reporter-destination=${windowsPath(report)}`,
    windowsPath(join(builtFolder, file.replace(/\.ts$/, '.js'))),
  ];
  for (let attempt = 0; ; attempt++) {
    rmSync(report, { force: true });
    const end = await runWine(lane.wine, args, {
      output,
      cwd: builtFolder,
      timeLimit: TIME_LIMIT,
      growing: report,
    });
    const printed = readFileSync(output, 'utf8').replaceAll('\r', '');
    const reported = existsSync(report) ? readFileSync(report, 'utf8') : '';
    const isSilent = end.code !== 0 && !end.timedOut && printed === '' && reported === '';
    if (isSilent && attempt === 0) continue;
    return readReport(reported, { ...end, output: printed });
  }
}
