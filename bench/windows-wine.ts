/** What bench/windows.ts asks, answered by its build for Windows under Wine. Wine timings are not Windows timings. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { takeLock } from '../src/provision/provision-lock.ts';
import { buildForWindows, builtFolder } from '../test/windows/wine/build.ts';
import { laneCache, provisionLane } from '../test/windows/wine/provision.ts';
import { endWine, runWine, windowsPath } from '../test/windows/wine/wine.ts';
import { option } from './report.ts';

const TIME_LIMIT_MS = 120_000;

const lane = await provisionLane();
// The prefix has one set of libraries, and the build one folder.
using _lock = await takeLock(join(laneCache(), 'locks', 'run'));
buildForWindows(lane.packages);
const folder = mkdtempSync(join(tmpdir(), 'bench-'));
try {
  const output = join(folder, 'output');
  const json = option('--json');
  const args = [windowsPath(join(builtFolder, 'bench/windows.js'))];
  if (json !== undefined) args.push('--json', windowsPath(json));
  const { code } = await runWine(lane.wine, [lane.node, ...args], {
    output,
    cwd: builtFolder,
    timeLimit: TIME_LIMIT_MS,
  });
  process.stdout.write(readFileSync(output, 'utf8'));
  process.exitCode = code ?? 1;
} finally {
  endWine(lane.wine);
  rmSync(folder, { recursive: true });
}
