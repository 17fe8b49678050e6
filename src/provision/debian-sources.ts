import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ProvisionError } from './provision-error.ts';

/** Where the machine gets its Debian packages, and which key vouches for them. */
export interface DebianMirror {
  readonly uri: string;
  readonly keyring: string;
}

interface Source {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  readonly keyring: string | undefined;
}

const KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
];

/**
 * Finds the mirror that the machine's own apt sources name for its own release.
 *
 * @param root the machine's file system, for tests
 * @throws ProvisionError when this is not Debian or apt names no Debian mirror
 */
export function findDebianMirror(root = '/'): DebianMirror {
  const release = readRelease(root);
  if (release.ID !== 'debian') {
    throw new ProvisionError(
      `Cannot provision on ${release.PRETTY_NAME ?? release.ID ?? 'this system'}: packages are taken from Debian`,
      'install QEMU 10.1.1 or later (qemu-system-x86_64 with vfio-user-pci) yourself and name it by --qemu or HDVKIT_QEMU',
    );
  }
  const sources = readSources(root).filter(
    ({ uri, suite, components }) =>
      components.includes('main') &&
      !/security/.test(uri) &&
      !/-|\//.test(suite) &&
      !/ubuntu/.test(uri),
  );
  const source =
    sources.find(({ suite }) => suite === release.VERSION_CODENAME) ??
    sources.find(({ suite }) =>
      /^(bookworm|trixie|forky|stable|testing|unstable|sid)$/.test(suite),
    );
  if (source === undefined) {
    throw new ProvisionError(
      'Cannot provision: /etc/apt names no Debian mirror',
      'add one with the component main to /etc/apt/sources.list',
    );
  }
  const keyring = [source.keyring, ...KEYRINGS].find(
    (file) => file !== undefined && existsSync(join(root, file)),
  );
  if (keyring === undefined) {
    throw new ProvisionError(
      'Cannot check the signatures of Debian packages: the archive keyring is missing',
      'run apt-get install debian-archive-keyring',
    );
  }
  return { uri: source.uri, keyring };
}

function readRelease(root: string): Readonly<Record<string, string>> {
  const file = ['etc/os-release', 'usr/lib/os-release']
    .map((name) => join(root, name))
    .find((name) => existsSync(name));
  if (file === undefined) return {};
  const fields = [...readFileSync(file, 'utf8').matchAll(/^(\w+)=(?:"(.*)"|(.*))$/gm)];
  return Object.fromEntries(fields.map(([, name, quoted, bare]) => [name!, quoted ?? bare ?? '']));
}

/** All binary sources of /etc/apt, in both formats of sources.list(5). */
function readSources(root: string): Source[] {
  const apt = join(root, 'etc/apt');
  const parts = join(apt, 'sources.list.d');
  const files = [
    join(apt, 'sources.list'),
    ...(existsSync(parts) ? readdirSync(parts).sort() : []).map((name) => join(parts, name)),
  ].filter((file) => existsSync(file));
  return files.flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    return file.endsWith('.sources') ? parseDeb822(text) : parseOneLine(text);
  });
}

function parseOneLine(text: string): Source[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (match === null) return [];
    const [, options = '', uri, suite, components] = match;
    return {
      uri: uri!,
      suite: suite!,
      components: components!.trim().split(/\s+/),
      keyring: /signed-by=(\/\S+)/.exec(options)?.[1],
    };
  });
}

function parseDeb822(text: string): Source[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const uncommented = stanza.replace(/^#.*\n?/gm, '');
    const field = (name: string): string[] =>
      new RegExp(`^${name}:((?:.*)(?:\\n[ \\t].*)*)`, 'im')
        .exec(uncommented)?.[1]
        ?.trim()
        .split(/\s+/) ?? [];
    if (!field('Types').includes('deb') || field('Enabled')[0]?.toLowerCase() === 'no') return [];
    const keyring = field('Signed-By').find((file) => file.startsWith('/'));
    return field('URIs').flatMap((uri) =>
      field('Suites').map((suite) => ({ uri, suite, components: field('Components'), keyring })),
    );
  });
}
