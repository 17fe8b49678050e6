import { figure, median, type StoredReport, spread } from '../report.ts';
import { charts, type Series } from './chart.ts';
import { judge, type Outcome } from './targets.ts';

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 920px; margin: 2rem auto; padding: 0 1rem; color: #1a202c; background: #fff; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 3rem; } h3 { font-size: 1rem; margin-bottom: 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; padding: 0.3rem 0.6rem; border-bottom: 1px solid #cbd5e0; vertical-align: top; }
td.number { text-align: right; white-space: nowrap; }
.met { color: #276749; font-weight: 600; } .missed { color: #9b2c2c; font-weight: 600; } .open { color: #4a5568; }
.about { color: #4a5568; font-size: 0.9rem; }
figure { margin: 0; } svg { max-width: 100%; height: auto; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0 1.2rem; padding: 0; font-size: 0.85rem; }
.legend i { display: inline-block; width: 1.8rem; margin-right: 0.4rem; vertical-align: middle; }
`;

/** The page of all results: the targets, then each question with its charts and figures. Needs nothing to be read. */
export function page(reports: ReadonlyMap<string, StoredReport>): string {
  const sections = [...reports].map(([name, report]) => section(name, report));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hdvkit: benchmarks</title>
<style>${STYLE}</style>
<h1>Benchmarks of hdvkit</h1>
<p>Made by <code>npm run bench:page</code> from <code>bench/results/</code>; <code>npm run bench</code> measures anew. A figure is
the median of its rounds; the spread is the smallest and the largest round, of more than 30 rounds the 5th and the 95th
percentile. Figures that are compared were measured in
turns in the same rounds; a ratio is the median of the ratios of each round.</p>
<h2 id="targets">Targets</h2>
<table>
<tr><th>Question<th>Target<th>Measured<th>Spread<th>
${judge(reports).map(targetRow).join('\n')}
</table>
${sections.join('\n')}
</html>
`;
}

function targetRow({ target, measurement, value, met }: Outcome): string {
  const sign = target.side === 'below' ? '≤' : '≥';
  const unit = measurement?.unit ?? '';
  const limit = `${sign} ${target.limit} ${unit}`.trim();
  if (measurement === undefined || value === undefined) {
    const why = target.remark ?? `no result of npm run bench ${target.bench}`;
    return `<tr><td>${escapeHtml(target.question)}<td class="number">${limit}<td colspan="2" class="open">${escapeHtml(why)}<td class="open">not measured`;
  }
  const verdict = met ? '<td class="met">met' : '<td class="missed">not met';
  return `<tr><td><a href="#${target.bench}">${escapeHtml(target.question)}</a><td class="number">${limit}<td class="number">${value} ${unit}<td class="number">${range(measurement.samples)}${verdict}`;
}

function section(name: string, report: StoredReport): string {
  const about = Object.entries(report.machine).map(([key, value]) => `${key} ${value}`);
  const subjects = Object.entries(report.subjects ?? {}).map(([key, value]) => `${key}: ${value}`);
  const figures = charts(report).map(
    ({ title, svg, series }) =>
      `<h3>${escapeHtml(title)}</h3>\n${legend(series)}<figure>${svg}</figure>`,
  );
  const rows = report.measurements.map(
    (one) =>
      `<tr><td>${escapeHtml(one.name)}<td class="number">${figure(median(one.samples))} ${escapeHtml(one.unit)}<td class="number">${range(one.samples)}<td class="number">${one.samples.length}`,
  );
  return `<h2 id="${name}">${escapeHtml(report.title)}</h2>
<p class="about">${[...about, ...subjects].map(escapeHtml).join('; ')}; measured on ${report.date.slice(0, 10)} by <code>npm run bench ${name}</code></p>
${figures.join('\n')}
<details><summary>Figures</summary>
<table><tr><th>What<th>Median<th>Spread<th>Rounds
${rows.join('\n')}
</table></details>`;
}

function legend(series: readonly Series[]): string {
  if (series.length === 0) return '';
  const items = series.map(
    ({ name, colour, dashed }) =>
      `<li><i style="border-top:3px ${dashed ? 'dashed' : 'solid'} ${colour}"></i>${escapeHtml(name)}`,
  );
  return `<ul class="legend">${items.join('')}</ul>\n`;
}

function range(samples: readonly number[]): string {
  return spread(samples).map(figure).join(' to ');
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
