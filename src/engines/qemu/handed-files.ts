import { closeSync, constants, fstatSync, openSync, realpathSync, rmSync } from 'node:fs';
import { basename, dirname, isAbsolute } from 'node:path';
import { closeFd } from '../../ffi/descriptors.ts';
import { AclPermission, allow, disallow, rightsOn } from '../../ffi/posix-acl.ts';
import { openTap } from '../../ffi/tap-interface.ts';
import { connectUnix, listenUnix } from '../../ffi/unix-socket.ts';
import {
  type NamedSocket,
  pathsIn,
  renamed,
  socketsIn,
  withBackingFiles,
} from './backend-files.ts';
import type { QmpClient } from './qmp.ts';
import type { VmAccount } from './vm-account.ts';

/** Linux, asm-generic/fcntl.h: a descriptor that names a file and opens nothing. */
export const O_PATH = 0x20_0000;
/** Descriptors before those that are handed: standard input, output and error. */
const FIRST_FD = 3;
/** The machine's folder in QEMU, after its memory and the socket on which it is controlled. */
const FOLDER_NAME = '/proc/self/fd/5';
/** Milliseconds that a listener may take whose queue is full. Nobody else is served meanwhile. */
const CONNECT_LIMIT_MS = 500;

type Fields = Readonly<Record<string, unknown>>;

/** What QEMU was given while it runs. */
export interface Lent {
  /** Arguments with the names by which QEMU has the files. */
  readonly args: Fields;
  /** Takes it back, when QEMU has closed the files. */
  back(): Promise<void>;
}

/**
 * How QEMU comes by files and sockets. Where it runs as the service's own user, by their paths. Where it has an account of
 * its own, by descriptors: folders above a file do not matter then, only what the file itself grants to the account, which
 * the kernel checks when QEMU opens `/proc/self/fd/N`; sockets are made or connected by the service.
 */
export class HandedFiles {
  readonly account: VmAccount | undefined;
  /** Descriptors for QEMU, in the order of their numbers there. */
  #descriptors: number[] = [];
  readonly #names = new Map<string, string>();
  #folder: { readonly path: string; readonly name: string } | undefined;
  #nextName = 1;

  constructor(account: VmAccount | undefined) {
    this.account = account;
  }

  /** What a QEMU was given that runs already. @param folder path of its folder */
  static adopt(account: VmAccount | undefined, folder: string): HandedFiles {
    const files = new HandedFiles(account);
    if (account !== undefined) files.#folder = { path: folder, name: FOLDER_NAME };
    return files;
  }

  /** Descriptors for QEMU to have from 3 on. */
  get descriptors(): readonly number[] {
    return this.#descriptors;
  }

  /** Gives an open descriptor, which is closed here after the start. @returns its number in QEMU */
  give(fd: number): number {
    return FIRST_FD + this.#descriptors.push(fd) - 1;
  }

  /** Lets QEMU find all that is in the machine's folder; what is given third. */
  giveFolder(path: string): void {
    this.#folder = { path, name: this.name(path) };
  }

  /** The name by which QEMU opens a file from its start on. */
  name(path: string): string {
    if (this.account === undefined) return path;
    const known = this.#inFolder(path) ?? this.#names.get(path);
    if (known !== undefined) return known;
    const name = `/proc/self/fd/${this.give(openSync(path, O_PATH))}`;
    this.#names.set(path, name);
    return name;
  }

  /** The arguments of a backend with the names that QEMU has from its start on. */
  backend(args: Fields): Fields {
    if (this.account === undefined) return args;
    const whole = withBackingFiles(args);
    const names = new Map(pathsIn(whole).map((path) => [path, this.name(path)]));
    for (const socket of this.#socketsIn(whole, names)) {
      names.set(socket.key, String(this.give(openSocket(socket))));
    }
    return renamed(whole, names);
  }

  /** A socket of a character device: its number in QEMU, or undefined where QEMU finds it by its path. */
  socket(path: string, isListening: boolean): number | undefined {
    if (this.account === undefined) return undefined;
    return this.give(isListening ? connectUnix(path, CONNECT_LIMIT_MS) : listenUnix(path));
  }

  /**
   * A program that the account can start, wherever it is: one behind closed folders is found by a descriptor of the folder
   * that it and all of its files are in.
   */
  program(command: string, args: readonly string[]): readonly [string, readonly string[]] {
    if (this.account === undefined || isReachable(command, this.account)) return [command, args];
    const paths = [command, ...args.flatMap((arg) => arg.split(':'))].filter(isAbsolute);
    const folder = paths.map(dirname).reduce(commonFolder);
    const name = this.name(folder);
    return [
      command.replaceAll(folder, name),
      args.map((arg) => (arg.startsWith('/') ? arg.replaceAll(folder, name) : arg)),
    ];
  }

  /** QEMU has started, or has not: what it was given is its own now. */
  close(): void {
    for (const fd of this.#descriptors) closeFd(fd);
    this.#descriptors = [];
    this.#names.clear();
  }

  /** Gives a running QEMU what the arguments of a command name. @throws Error of the system */
  async lend(qmp: QmpClient, args: Fields): Promise<Lent> {
    if (this.account === undefined) return { args, back: async () => {} };
    const whole = withBackingFiles(args);
    const sets: number[] = [];
    const sockets: string[] = [];
    const made: string[] = [];
    const back = async (): Promise<void> => {
      // Of those that QEMU has used it knows nothing any more.
      for (const fdname of sockets.splice(0)) {
        await qmp.execute('closefd', { fdname }).catch(() => undefined);
      }
      for (const path of made.splice(0)) rmSync(path, { force: true });
      for (const set of sets.splice(0)) {
        await qmp.execute('remove-fd', { 'fdset-id': set }).catch(() => undefined);
      }
    };
    try {
      const names = new Map<string, string>();
      for (const path of pathsIn(whole)) {
        let name = this.#inFolder(path);
        if (name === undefined) {
          // QEMU's connection takes no descriptors of O_PATH.
          const added = await addFd(qmp, openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
          sets.push(added['fdset-id']);
          name = `/proc/self/fd/${added.fd}`;
        }
        names.set(path, name);
      }
      for (const socket of this.#socketsIn(whole, names)) {
        const name = `handed${this.#nextName++}`;
        const own = openSocket(socket);
        if (socket.kind === 'listen') made.push(socket.path);
        await passing(own, (fd) => qmp.execute('getfd', { fdname: name }, fd));
        sockets.push(name);
        names.set(socket.key, name);
      }
      return { args: renamed(whole, names), back };
    } catch (error) {
      await back();
      throw error;
    }
  }

  /**
   * Lets a running QEMU write a file that is there already, whoever owns it, and no link.
   * @returns the name for a command of QEMU's, and what takes it back
   */
  async lendForWriting(
    qmp: QmpClient,
    path: string,
  ): Promise<{ readonly name: string; back(): Promise<void> }> {
    if (this.account === undefined) return { name: path, back: async () => {} };
    const { 'fdset-id': set } = await addFd(
      qmp,
      openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW),
    );
    return {
      name: `/dev/fdset/${set}`,
      back: async () => {
        await qmp.execute('remove-fd', { 'fdset-id': set }).catch(() => undefined);
      },
    };
  }

  /**
   * Lets a running QEMU connect to a socket of the service's, in a closed folder, where it takes no descriptor for it: for
   * as long as that takes its account may search the folder and use the socket, and nothing else.
   * @returns the path for QEMU, and what takes the rights back
   */
  async lendSocket(
    qmp: QmpClient,
    path: string,
  ): Promise<{ readonly name: string; back(): Promise<void> }> {
    const { account } = this;
    if (account === undefined) return { name: path, back: async () => {} };
    const entry = { kind: 'user', id: account.uid } as const;
    const { SEARCH, READ, WRITE } = AclPermission;
    // Whoever made the folder must not have the rights go to something else meanwhile.
    const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
    const socket = openSocketFile(path, folder);
    const pinned = [`/proc/self/fd/${socket}`, `/proc/self/fd/${folder}`] as const;
    let set: number | undefined;
    const back = async (): Promise<void> => {
      for (const one of pinned) disallow(one, 'access', entry);
      for (const fd of [socket, folder]) closeSync(fd);
      if (set === undefined) return;
      await qmp.execute('remove-fd', { 'fdset-id': set }).catch(() => undefined);
    };
    try {
      const added = (await qmp.execute('add-fd', {}, folder)) as AddedFd;
      set = added['fdset-id'];
      allow(pinned[0], 'access', fstatSync(socket).mode, entry, READ | WRITE);
      allow(pinned[1], 'access', fstatSync(folder).mode, entry, SEARCH);
      return { name: `/proc/self/fd/${added.fd}/${basename(path)}`, back };
    } catch (error) {
      await back();
      throw error;
    }
  }

  /** The sockets that have to be opened for QEMU. Those in its folder it finds by the names that this adds. */
  #socketsIn(args: Fields, names: Map<string, string>): readonly NamedSocket[] {
    return socketsIn(args, (path) => {
      const name = this.#inFolder(path);
      if (name !== undefined) names.set(path, name);
      return name !== undefined;
    });
  }

  #inFolder(path: string): string | undefined {
    const folder = this.#folder;
    if (folder === undefined || !path.startsWith(`${folder.path}/`)) return undefined;
    return `${folder.name}${path.slice(folder.path.length)}`;
  }
}

/** Whether an account reaches a file through the folders above it. @throws Error of the system */
export function isReachable(path: string, account: VmAccount): boolean {
  const real = realpathSync(path);
  for (let folder = dirname(real); ; folder = dirname(folder)) {
    if ((rightsOn(folder, account).permission & AclPermission.SEARCH) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

interface SocketToOpen {
  readonly kind: 'connect' | 'listen' | 'tap';
  readonly path: string;
}

function openSocket({ kind, path }: SocketToOpen): number {
  if (kind === 'tap') return openTap(path);
  return kind === 'listen' ? listenUnix(path) : connectUnix(path, CONNECT_LIMIT_MS);
}

/** Hands an open descriptor on, and closes it here. */
async function passing<T>(fd: number, pass: (fd: number) => Promise<T>): Promise<T> {
  try {
    return await pass(fd);
  } finally {
    closeSync(fd);
  }
}

/** Names a socket in a folder, and nothing else that is there. The folder is closed when there is none. */
function openSocketFile(path: string, folder: number): number {
  let fd = -1;
  try {
    fd = openSync(`/proc/self/fd/${folder}/${basename(path)}`, O_PATH | constants.O_NOFOLLOW);
    if (fstatSync(fd).isSocket()) return fd;
    throw new Error(`Cannot connect to ${path}: it is no socket`);
  } catch (error) {
    for (const one of [fd, folder]) closeFd(one);
    throw error;
  }
}

/** What QEMU answers to add-fd: the descriptor's number there, and its set. */
interface AddedFd {
  readonly fd: number;
  readonly 'fdset-id': number;
}

function addFd(qmp: QmpClient, fd: number): Promise<AddedFd> {
  return passing(fd, async (own) => (await qmp.execute('add-fd', {}, own)) as AddedFd);
}

function commonFolder(one: string, other: string): string {
  let folder = one;
  while (other !== folder && !other.startsWith(`${folder === '/' ? '' : folder}/`)) {
    folder = dirname(folder);
  }
  return folder;
}
