import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { shellWords } from '../../../src/cli/hcs/shell-words.ts';
import { ended, Workplace } from '../run-cli.ts';

const page = readFileSync(new URL('../../../docs/hcs.md', import.meta.url), 'utf8');

interface Step {
  readonly line: string;
  readonly output: string;
  readonly code: number;
}

/**
 * The commands of the page, each with what it says.
 * @param info what stands behind the fence
 */
function steps(info: string): readonly Step[] {
  return [...page.matchAll(/^```(.*?)\n(.*?)^```$/gms)]
    .filter(([, found]) => found === info)
    .map(([, , text = '']) => text)
    .flatMap((text) =>
      text
        .split(/^\$ /m)
        .slice(1)
        .map((part) => {
          const [line = '', ...rest] = part.split('\n');
          const code = /^\[exit (\d+)\]$/m.exec(part)?.[1];
          const output = rest.filter((each) => !each.startsWith('[exit ')).join('\n');
          return { line, output, code: Number(code ?? 0) };
        }),
    );
}

/** `…` on the page is whatever there is in its line. */
function pattern(text: string): RegExp {
  const parts = text.split('…').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}

test('what docs/hcs.md shows is what happens', async () => {
  using place = new Workplace();
  const [, machine = ''] = /^```jsonc\n\/\/ machine\.json\n(.*?)^```$/ms.exec(page) ?? [];
  place.write('machine.json', machine);
  const all = steps('console');
  expect(all.length).toBeGreaterThan(12);
  const lines = all.map(({ line }) => shellWords(line).slice(1));
  // On a terminal, so that what is said on standard error stands in its place.
  const { stdout } = await ended(
    place.startOnTerminal(['simulated', JSON.stringify(lines)], {
      program: 'hcsInTurn',
      env: { NO_COLOR: '1' },
    }),
  );
  const turns = stdout
    .replaceAll('\r\n', '\n')
    .split(/^\$ hcs .*\n/m)
    .slice(1);
  expect(turns).toHaveLength(all.length);
  for (const [at, { line, output, code }] of all.entries()) {
    const [, said = '', ended_ = ''] = /^(.*)\[exit (\d+)\]\n$/s.exec(turns[at] ?? '') ?? [];
    expect(said, line).toMatch(pattern(output));
    expect(Number(ended_), line).toBe(code);
  }
});

test('what docs/hcs.md shows of the service is what happens with a daemon', async () => {
  using place = new Workplace();
  const [, machine = ''] = /^```jsonc\n\/\/ machine\.json\n(.*?)^```$/ms.exec(page) ?? [];
  place.write('machine.json', machine);
  const env = {
    HDVKIT_SOCKET: join(place.path, 's', 'hcsd.sock'),
    HDVKIT_STATE: join(place.path, 'state'),
    HDVKIT_HOST: 'simulated',
  };
  const all = steps('console daemon');
  expect(all.length).toBeGreaterThan(3);
  for (const { line, output, code } of all) {
    const result = await place.run(shellWords(line).slice(1), { program: 'hcs', env });
    // What takes long says that it goes on.
    const said = `${result.stdout}${result.stderr}`.replace(/^\w+ .* …\n/gm, '');
    expect(said, line).toMatch(pattern(output));
    expect(result.code, line).toBe(code);
  }
});

test('docs/hcs.md names every command', async () => {
  using place = new Workplace();
  const { stdout } = await place.run(['--help'], { program: 'hcs' });
  const names = [...stdout.matchAll(/^ {2}([a-z]+)(?:\|[a-z]+)* .*/gm)].map(
    ([, name = '']) => name,
  );
  const [, table = ''] = /^## Commands\n(.*?)^## /ms.exec(page) ?? [];
  expect(names.filter((name) => name !== 'help' && !table.includes(name))).toEqual([]);
});
