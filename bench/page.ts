/** `npm run bench:page [--results FOLDER] [--output FILE]`: makes docs/benchmarks.html of the stored results. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { page } from './page/page.ts';
import { load, option, type StoredReport } from './report.ts';

const folder = option('--results') ?? fileURLToPath(new URL('results', import.meta.url));
const output =
  option('--output') ?? fileURLToPath(new URL('../docs/benchmarks.html', import.meta.url));
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .sort();
if (names.length === 0) {
  console.error(`Cannot make a page: there is no result in ${folder}; run npm run bench first`);
  process.exit(2);
}
const reports = new Map<string, StoredReport>(
  names.map((name) => [name.slice(0, -'.json'.length), load(join(folder, name))]),
);
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, page(reports));
console.log(`${names.length} results on ${output}`);
