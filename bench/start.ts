/** How long from `npm start` to the first access of the guest program? */
import { spawnSync } from 'node:child_process';
import { print } from './report.ts';

const ROUNDS = 7;

/** Runs the main job once; milliseconds from the start of its process to the first access, as it says itself. */
function firstAccess(): number {
  const run = spawnSync('npm', ['start', '--silent'], { encoding: 'utf8' });
  const said = /([\d.]+) (ms|s) from the start of this process to the first access/.exec(
    run.stdout,
  );
  if (run.status !== 0 || said === null) {
    throw new Error(`Cannot read a time from npm start:\n${run.stdout}\n${run.stderr}`);
  }
  return Number(said[1]) * (said[2] === 's' ? 1000 : 1);
}

print({
  title: 'How long from npm start to the first access of the guest program?',
  measurements: [
    {
      name: 'start of the process to the first access, simulated host',
      unit: 'ms',
      samples: Array.from({ length: ROUNDS }, firstAccess),
    },
  ],
});
