import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** One ```ts block of a Markdown file or of a JSDoc comment. */
export interface ExampleBlock {
  /** `README.md:48` */
  readonly place: string;
  readonly code: string;
  /** `no-run` blocks are type-checked only: they need a real guest, or a machine that they do not make. */
  readonly runs: boolean;
  /** Name that the block's first line gives it, as `// first-device.ts`; later blocks of the file may import it. */
  readonly fileName: string | undefined;
}

const FENCE = /^([ \t]*)```ts\b([^\n]*)\n([\s\S]*?)^\1```/gm;

/** The blocks of a text. */
function blocksOf(place: string, text: string, firstLine = 1): ExampleBlock[] {
  return [...text.matchAll(FENCE)].map((match) => {
    const [, , info = '', code = ''] = match;
    const line = firstLine + text.slice(0, match.index).split('\n').length - 1;
    return {
      place: `${place}:${line}`,
      code,
      runs: !info.includes('no-run'),
      fileName: /^\/\/ ([\w-]+(?:\.test)?\.ts)\n/.exec(code)?.[1],
    };
  });
}

/** JSDoc comments with their stars taken away, and the line that each begins at. */
function commentsOf(text: string): { readonly text: string; readonly line: number }[] {
  return [...text.matchAll(/\/\*\*[\s\S]*?\*\//g)].map((match) => ({
    line: text.slice(0, match.index).split('\n').length,
    text: match[0]
      .replace(/^\/\*\*/, '')
      .replace(/\*\/$/, '')
      .replace(/^[ \t]*\* ?/gm, ''),
  }));
}

function typescriptFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => join(folder, name));
}

/** Every example of the documents and of the exports' documentation. */
export function collectExamples(root: string): ExampleBlock[] {
  const markdown = [
    'README.md',
    'docs/architecture.md',
    'docs/events.md',
    'docs/machines.md',
    'docs/windows.md',
    'CONTRIBUTING.md',
  ].flatMap((name) => blocksOf(name, readFileSync(join(root, name), 'utf8')));
  const comments = [join(root, 'src'), join(root, 'devices')].flatMap((folder) =>
    typescriptFiles(folder).flatMap((file) =>
      commentsOf(readFileSync(file, 'utf8')).flatMap(({ text, line }) =>
        blocksOf(relative(root, file), text, line),
      ),
    ),
  );
  return [...markdown, ...comments];
}

/** `@example` tags that no fenced block follows: nothing would execute them. */
export function unfencedExamples(root: string): string[] {
  return typescriptFiles(join(root, 'src')).flatMap((file) =>
    commentsOf(readFileSync(file, 'utf8'))
      .filter(({ text }) => /@example(?![^\n]*\n[ \t]*```ts)/.test(text))
      .map(({ line }) => `${relative(root, file)}:${line}`),
  );
}
