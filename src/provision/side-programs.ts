/** A program that runs beside QEMU for one of a machine's devices. */
export type SideProgramName = 'virtiofsd' | 'swtpm' | 'vhost-device-vsock';

/** Where a program comes from, and what it must be able to do. */
export interface SideProgramSource {
  /** What a machine has by it, for people. */
  readonly purpose: string;
  /** Debian's suite and package. */
  readonly suite: string;
  readonly package: string;
  /** Below the root of what was unpacked. */
  readonly path: string;
  /** Folders with libraries of its own, likewise. */
  readonly libraries: readonly string[];
  /** Folders besides PATH where systems install it. */
  readonly folders: readonly string[];
  /** Arguments that make it say what it can do, and what its answer has to contain. */
  readonly question: readonly string[];
  readonly answer: string;
  /** The arguments that make it print its version. */
  readonly version: readonly string[];
  /** Oldest version that does, for people. */
  readonly since: string;
}

/** Folders for programs that are not meant to be typed. */
const INTERNAL_FOLDERS = ['/usr/libexec', '/usr/lib/qemu', '/usr/lib'];

/** All programs, with the oldest suite of Debian that has a version which does. */
export const SIDE_PROGRAMS: Readonly<Record<SideProgramName, SideProgramSource>> = {
  virtiofsd: {
    purpose: 'folders that it shares with its host',
    suite: 'trixie',
    package: 'virtiofsd',
    path: 'usr/libexec/virtiofsd',
    libraries: [],
    folders: INTERNAL_FOLDERS,
    // Without it a machine with a share cannot be saved.
    question: ['--help'],
    answer: '--migration-mode',
    version: ['--version'],
    since: '1.13',
  },
  swtpm: {
    purpose: 'a TPM',
    suite: 'trixie',
    package: 'swtpm',
    path: 'usr/bin/swtpm',
    libraries: ['usr/lib/x86_64-linux-gnu/swtpm'],
    folders: [],
    // Its state is then one file, which a machine keeps.
    question: ['socket', '--tpm2', '--print-capabilities'],
    answer: 'nvram-backend-file',
    version: ['--version'],
    since: '0.7.1',
  },
  'vhost-device-vsock': {
    purpose: 'sockets between it and its host',
    suite: 'forky',
    package: 'vhost-device-vsock',
    path: 'usr/bin/vhost-device-vsock',
    libraries: [],
    folders: INTERNAL_FOLDERS,
    question: ['--help'],
    answer: '--uds-path',
    version: ['--version'],
    since: '0.3.0',
  },
};

/** The names of all programs. */
export const SIDE_PROGRAM_NAMES = Object.keys(SIDE_PROGRAMS) as readonly SideProgramName[];
