/** `npm run bench [NAME …]`: runs the benchmarks one after the other and keeps each result in bench/results/. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = new URL('./', import.meta.url);
const notBenchmarks = ['run.ts', 'report.ts'];
const all = readdirSync(folder)
  .filter((name) => name.endsWith('.ts') && !notBenchmarks.includes(name))
  .map((name) => name.slice(0, -3));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`Cannot run benchmark ${unknown.join(', ')}: there are ${all.join(', ')}`);
  process.exit(2);
}
let failed = false;
for (const name of wanted.length > 0 ? wanted : all) {
  const result = spawnSync(
    process.execPath,
    [
      '--import',
      'tsx',
      '--conditions=hdvkit-source',
      fileURLToPath(new URL(`${name}.ts`, folder)),
      '--json',
      fileURLToPath(new URL(`results/${name}.json`, folder)),
    ],
    { stdio: 'inherit' },
  );
  failed ||= result.status !== 0;
}
process.exitCode = failed ? 1 : 0;
