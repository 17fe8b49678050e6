import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { entries as expected } from './public-api.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Export {
  readonly name: string;
  readonly file: string;
  /** Name in the file that declares it. */
  readonly local: string;
}

/** Every name that a module exports, types included, followed to the file that declares it. */
function exportsOf(file: string): Export[] {
  const text = readFileSync(file, 'utf8');
  const found: Export[] = [];
  for (const match of text.matchAll(
    /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|class|const|let|interface|type) (\w+)/gm,
  )) {
    found.push({ name: match[1] as string, file, local: match[1] as string });
  }
  for (const [, names = '', from] of text.matchAll(
    /^export (?:type )?\{([^}]*)\}(?: from '([^']+)')?/gm,
  )) {
    const target = from ? resolve(dirname(file), from) : file;
    for (const item of names.split(',').map((name) => name.trim().replace(/^type /, ''))) {
      if (item === '') continue;
      const [local = '', name = local] = item.split(' as ');
      const declared = exportsOf(target).find((other) => other.name === local);
      found.push({ name, file: declared?.file ?? target, local: declared?.local ?? local });
    }
  }
  for (const [, from = ''] of text.matchAll(/^export (?:type )?\* from '([^']+)'/gm)) {
    found.push(...exportsOf(resolve(dirname(file), from)));
  }
  return [...new Map(found.map((item) => [item.name, item])).values()];
}

/** Does a doc comment stand directly above the (first) declaration? */
function isDocumented({ file, local }: Export): boolean {
  const text = readFileSync(file, 'utf8');
  const declaration = new RegExp(
    `^export (?:declare )?(?:abstract )?(?:async )?(?:function\\*?|class|const|let|interface|type) ${local}\\b`,
    'm',
  ).exec(text);
  return declaration !== null && /\*\/\s*$/.test(text.slice(0, declaration.index));
}

describe.each(Object.entries(expected))('the entry %s', (entry, names) => {
  const found = exportsOf(join(root, 'src', entry));

  test('exports what its list says, and nothing else', () => {
    expect(found.map(({ name }) => name).sort()).toEqual([...names].sort());
  });

  test('documents every export', () => {
    const bare = found.filter((item) => !isDocumented(item));
    expect(bare.map(({ name, file }) => `${name} in ${relative(root, file)}`)).toEqual([]);
  });
});
