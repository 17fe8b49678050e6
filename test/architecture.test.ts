import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');

/** What each folder of src may import, besides itself. A folder not named here may import nothing. */
const allowed: Record<string, readonly string[]> = {
  device: [],
  ffi: [],
  pci: ['device'],
  inspect: ['device', 'pci'],
  hcs: ['ffi'],
  hdv: ['device', 'pci', 'hcs', 'ffi'],
  compute: ['hcs'],
  engines: ['compute', 'hcs', 'pci', 'device', 'ffi', 'provision'],
  transport: ['device', 'pci', 'ffi'],
  'vfio-user': ['ffi'],
  'device-host': [
    'device',
    'pci',
    'hdv',
    'hcs',
    'compute',
    'transport',
    'vfio-user',
    'inspect',
    'ffi',
  ],
  provision: [],
  hosts: [
    'device-host',
    'engines',
    'compute',
    'daemon',
    'transport',
    'vfio-user',
    'hdv',
    'hcs',
    'pci',
    'device',
    'inspect',
    'ffi',
    'provision',
  ],
  testing: ['device', 'pci', 'hdv', 'hcs', 'hosts', 'engines', 'inspect'],
  daemon: ['compute', 'hcs', 'ffi'],
};

/** Packages that only these folders may import. */
const packages: Record<string, readonly string[]> = {
  koffi: ['ffi'],
  libsql: ['daemon'],
  piscina: ['transport'],
  'vscode-jsonrpc/node': ['daemon'],
  'binary-parser': ['inspect', 'engines', 'provision'],
};

const entries = ['index.ts', 'hcs.ts', 'hdv.ts', 'testing.ts'];

interface Import {
  readonly file: string;
  readonly target: string;
}

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => join(folder, name));
}

/** Every `from '…'` and `import('…')` of a file, types included. */
function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)'([^']+)'/g);
  return [...found].map((match) => ({ file, target: match[1] as string }));
}

const segments = (path: string): string[] => relative(src, path).split('/');
const imports = files(src).flatMap(importsOf);
const internal = imports
  .filter(({ target }) => target.startsWith('.'))
  .map(({ file, target }) => ({ file, target: resolve(dirname(file), target) }));

describe('the layers of src', () => {
  test('imports point down', () => {
    const wrong = internal.flatMap(({ file, target }) => {
      const [from = '', to = ''] = [segments(file)[0], segments(target)[0]];
      if (entries.includes(from) || from === 'cli' || from === to) return [];
      return allowed[from]?.includes(to) ? [] : [`${relative(root, file)} imports ${to}`];
    });
    expect(wrong).toEqual([]);
  });

  test('no host imports another host, and no engine another engine', () => {
    const wrong = internal.flatMap(({ file, target }) => {
      const [from = [], to = []] = [segments(file), segments(target)];
      if (from[0] !== to[0] || (from[0] !== 'hosts' && from[0] !== 'engines')) return [];
      const selects = from[1]?.endsWith('.ts') || to[1]?.endsWith('.ts') || from[1] === to[1];
      return selects ? [] : [`${relative(root, file)} imports ${to[0]}/${to[1]}`];
    });
    expect(wrong).toEqual([]);
  });

  test('nothing imports the command line or an entry', () => {
    const wrong = internal
      .filter(({ file, target }) => {
        const to = segments(target)[0] ?? '';
        const from = segments(file)[0] ?? '';
        if (entries.includes(from)) return false;
        return (to === 'cli' && from !== 'cli') || (entries.includes(to) && from !== 'cli');
      })
      .map(({ file, target }) => `${relative(root, file)} imports ${relative(root, target)}`);
    expect(wrong).toEqual([]);
  });

  test('packages stay in the folders that own them', () => {
    const wrong = imports.flatMap(({ file, target }) => {
      const owners = packages[target];
      const folder = segments(file)[0] ?? '';
      return owners && !owners.includes(folder)
        ? [`${relative(root, file)} imports ${target}`]
        : [];
    });
    expect(wrong).toEqual([]);
  });

  test('there is no import cycle, types included', () => {
    const graph = new Map<string, string[]>();
    for (const { file, target } of internal) {
      graph.set(file, [...(graph.get(file) ?? []), target]);
    }
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) {
        cycles.push(
          [...path.slice(path.indexOf(file)), file].map((p) => relative(src, p)).join(' → '),
        );
        return;
      }
      if (done.has(file)) return;
      for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of graph.keys()) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test('device and pci contain no word of hosts, sockets, workers or native libraries', () => {
    const words = /\b(windows|qemu|socket|worker_threads|koffi|vfio)\b/i;
    const wrong = [...files(join(src, 'device')), ...files(join(src, 'pci'))].filter((file) =>
      importsOf(file).some(({ target }) => words.test(target) || target.startsWith('node:')),
    );
    expect(wrong.map((file) => relative(root, file))).toEqual([]);
  });

  test('a file over 300 lines says in its first comment why', () => {
    const wrong = files(src).filter((file) => {
      const text = readFileSync(file, 'utf8');
      const first = /^(?:\/\/[^\n]*\n)+|^\/\*[\s\S]*?\*\//.exec(text)?.[0] ?? '';
      return text.split('\n').length > 300 && !/\b(longer than|long because)\b/i.test(first);
    });
    expect(wrong.map((file) => relative(root, file))).toEqual([]);
  });
});

describe('device files', () => {
  const devices = [...files(join(root, 'devices')), ...files(join(root, 'sample-devices'))];

  test('import hdvkit by its own name, Node, and their own folder', () => {
    const wrong = devices.flatMap(importsOf).filter(({ file, target }) => {
      if (target === 'hdvkit' || target.startsWith('node:')) return false;
      const inside = resolve(dirname(file), target);
      return !inside.startsWith(join(root, 'devices'));
    });
    expect(wrong).toEqual([]);
  });

  test('no sample is longer than 120 lines or imports more than eight names', () => {
    const wrong = files(join(root, 'sample-devices')).filter((file) => {
      const text = readFileSync(file, 'utf8');
      const names = /import\s*\{([^}]*)\}\s*from 'hdvkit'/.exec(text)?.[1] ?? '';
      const count = names.split(',').filter((name) => name.trim() !== '').length;
      return text.trimEnd().split('\n').length > 120 || count > 8;
    });
    expect(wrong.map((file) => relative(root, file))).toEqual([]);
  });
});
