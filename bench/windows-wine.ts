/** What bench/windows.ts asks, answered by its build for Windows under Wine. Wine timings are not Windows timings. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ProvisionError } from '../src/provision/provision-error.ts';
import { hasMingw, MINGW_GCC } from '../test/windows/mingw.ts';
import { buildFolder, buildForWindows, builtFolder } from '../test/windows/wine/build.ts';
import { lockLane } from '../test/windows/wine/lane-lock.ts';
import { INSTALL, laneCache, provisionLane } from '../test/windows/wine/provision.ts';
import { endWine, endWineWithProcess, runWine, windowsPath } from '../test/windows/wine/wine.ts';
import { option } from './report.ts';

const TIME_LIMIT_MS = 600_000;

if (!hasMingw()) {
  throw new ProvisionError(`Cannot build for Windows: there is no ${MINGW_GCC}`, INSTALL);
}
const lane = await provisionLane();
using _lock = await lockLane({ cache: laneCache(), build: buildFolder }, console.log);
endWine(lane.wine);
endWineWithProcess(lane.wine);
buildForWindows(lane.packages);
const folder = mkdtempSync(join(tmpdir(), 'bench-'));
try {
  const output = join(folder, 'output');
  const args = [windowsPath(join(builtFolder, 'bench/windows.js'))];
  const [json, rounds] = [option('--json'), option('--rounds')];
  if (json !== undefined) args.push('--json', windowsPath(resolve(json)));
  if (rounds !== undefined) args.push('--rounds', rounds);
  const { code, timedOut } = await runWine(lane.wine, [lane.node, ...args], {
    output,
    cwd: builtFolder,
    timeLimit: TIME_LIMIT_MS,
  });
  process.stdout.write(readFileSync(output, 'utf8'));
  if (timedOut)
    throw new Error(`Cannot measure under Wine: it took over ${TIME_LIMIT_MS / 1000} s`);
  process.exitCode = code ?? 1;
} finally {
  endWine(lane.wine);
  rmSync(folder, { recursive: true });
}
