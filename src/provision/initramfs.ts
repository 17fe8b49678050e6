import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { cacheDirectory } from './cache-directory.ts';
import { CpioArchive } from './cpio-archive.ts';
import { GUEST_INIT, GUEST_PROFILE } from './guest-init.ts';
import { storeImage } from './image-store.ts';
import { KernelModules, readModuleInfo } from './kernel-modules.ts';
import { ProvisionError } from './provision-error.ts';
import type { GuestFiles } from './provision-guest.ts';
import { runTool } from './run-tool.ts';
import { sharedLibraries } from './shared-libraries.ts';

/** A folder of this machine that the guest mounts. */
export interface GuestShare {
  /** Mount tag of the 9p device, as the virtual machine's document names it. */
  readonly tag: string;
  /** Absolute path in the guest. */
  readonly mountPoint: string;
  readonly readOnly?: boolean;
}

/** What an initramfs of the test guest holds besides busybox, the gpiod tools and lspci. */
export interface InitramfsOptions {
  readonly guest: GuestFiles;
  /** The compiled control agent: {@link provisionAgent}. */
  readonly agent: string;
  /** Modules of the kernel to load, by name, in this order; what they need is loaded before. */
  readonly modules?: readonly string[];
  /** Module files of the user's own (.ko), loaded last; parameters may follow the path after a blank. */
  readonly extraModules?: readonly string[];
  /** Absolute path in the guest → file of this machine; its permissions are kept. */
  readonly files?: Readonly<Record<string, string>>;
  readonly shares?: readonly GuestShare[];
  /** Shell commands that run before the shell. */
  readonly commands?: readonly string[];
  /** Puts a shell on the console; the guest powers off when it ends. Default: no. */
  readonly shell?: boolean;
  readonly cache?: string | undefined;
}

/** Grows when the images change for the same input. */
const VERSION = 1;

/** Loaded always: the power button, crash notices, and interrupts without a driver. */
const STANDARD_MODULES = ['button', 'evdev', 'pvpanic-pci', 'uio_pci_generic'];
const SHARE_MODULES = ['virtio_pci', '9pnet_virtio', '9p'];
const PROGRAMS = [
  'usr/bin/gpiodetect',
  'usr/bin/gpiofind',
  'usr/bin/gpioget',
  'usr/bin/gpioinfo',
  'usr/bin/gpiomon',
  'usr/bin/gpioset',
  'usr/bin/lspci',
];

/**
 * Makes an initramfs for the test guest: the distribution's busybox and tools, the modules that are wanted, and an
 * init that puts a shell on the first serial port and the control agent on the second.
 *
 * @returns its path: a file of the cache, the same for the same content, not to be written to
 * @throws ProvisionError for a module that is missing or made for another kernel
 */
export async function buildInitramfs(options: InitramfsOptions): Promise<string> {
  const cache = options.cache ?? cacheDirectory();
  const fixed = await fixedImage(cache, options);
  const variable = variableArchive(options).toBuffer();
  return storeImage(cache, [fixed, variable], () =>
    Buffer.concat([readFileSync(fixed), compress(variable)]),
  );
}

/** The part that is the same for all guests of one kernel and agent. */
function fixedImage(cache: string, { guest, agent }: InitramfsOptions): Promise<string> {
  const { mtimeMs } = statSync(join(guest.root, 'bin/busybox'));
  const key = [guest.root, guest.kernelRelease, String(mtimeMs), GUEST_INIT, GUEST_PROFILE];
  const program = readFileSync(agent);
  return storeImage(cache, [String(VERSION), ...key, ...PROGRAMS, program], async () =>
    compress((await fixedArchive(guest.root, program)).toBuffer()),
  );
}

async function fixedArchive(root: string, agent: Uint8Array): Promise<CpioArchive> {
  const archive = new CpioArchive();
  for (const name of ['proc', 'sys', 'dev', 'tmp', 'run', 'root', 'mnt']) archive.directory(name);
  archive.device('dev/console', 5, 1).device('dev/null', 1, 3, 0o666);
  archive.file('bin/busybox', readFileSync(join(root, 'bin/busybox')), 0o755);
  const { stdout } = await runTool(join(root, 'bin/busybox'), ['--list-full']);
  for (const applet of stdout.split('\n')) {
    if (applet !== '' && applet !== 'bin/busybox') archive.symlink(applet, '/bin/busybox');
  }
  archive.file('init', GUEST_INIT, 0o755);
  archive.file('etc/profile', GUEST_PROFILE);
  archive.file('etc/passwd', 'root::0:0:root:/root:/bin/sh\n');
  archive.file('etc/group', 'root:x:0:\n');
  archive.file('bin/hdvkit-agent', agent, 0o755);
  archive.file('usr/share/misc/pci.ids', readFileSync(join(root, 'usr/share/misc/pci.ids')));
  const libraries = await Promise.all(PROGRAMS.map((name) => sharedLibraries(root, name)));
  for (const name of [...PROGRAMS, ...new Set(libraries.flat())]) {
    archive.file(name, readFileSync(realpathSync(join(root, name))), 0o755);
  }
  archive.symlink('lib64', 'lib/x86_64-linux-gnu');
  return archive;
}

function variableArchive(options: InitramfsOptions): CpioArchive {
  const {
    guest,
    modules = [],
    extraModules = [],
    files = {},
    shares = [],
    commands = [],
  } = options;
  const archive = new CpioArchive();
  const kernel = new KernelModules(guest);
  const extra = extraModules.map((text) => readExtraModule(text, guest.kernelRelease));
  const paths = kernel.order([
    ...STANDARD_MODULES,
    ...(shares.length > 0 ? SHARE_MODULES : []),
    ...modules,
    ...extra.flatMap(({ needs }) => needs),
  ]);
  const folder = `lib/modules/${guest.kernelRelease}`;
  for (const path of paths) archive.file(`${folder}/${path}`, kernel.read(path));
  archive.file(`${folder}/modules.dep`, kernel.dependencyTable(paths));
  for (const { path } of extra)
    archive.file(`${folder}/extra/${basename(path)}`, readFileSync(path));
  archive.file(
    'etc/hdvkit/modules',
    [
      ...paths.map((path) => `/${folder}/${path}\n`),
      ...extra.map(({ path, parameters }) => `/${folder}/extra/${basename(path)} ${parameters}\n`),
    ].join(''),
  );
  archive.file(
    'etc/hdvkit/shares',
    shares
      .map(({ tag, mountPoint, readOnly }) => `${tag} ${mountPoint} ${readOnly ? ',ro' : ''}\n`)
      .join(''),
  );
  if (commands.length > 0) archive.file('etc/hdvkit/commands', `${commands.join('\n')}\n`);
  if (options.shell === true) archive.file('etc/hdvkit/shell', '');
  for (const [path, source] of Object.entries(files)) {
    archive.file(path.replace(/^\/+/, ''), readFileSync(source), statSync(source).mode & 0o777);
  }
  return archive;
}

function readExtraModule(
  text: string,
  release: string,
): { readonly path: string; readonly parameters: string; readonly needs: readonly string[] } {
  const [, path = text, parameters = ''] = /^(.*?\.ko)(?:\s+(.*))?$/.exec(text) ?? [];
  if (!existsSync(path)) {
    throw new ProvisionError(`Cannot load ${path}: there is no such file`, 'check the path');
  }
  const info = readModuleInfo(path);
  if (info.release !== release) {
    throw new ProvisionError(
      `Cannot load ${path}: it is made for kernel ${info.release}, and the guest runs ${release}`,
      `build it with the headers of that kernel (package linux-headers-${release} of Debian 12)`,
    );
  }
  return { path, parameters, needs: info.needs };
}

function compress(data: Buffer): Buffer {
  const image = gzipSync(data, { level: 6 });
  return Buffer.concat([image, Buffer.alloc(-image.length & 3)]);
}
