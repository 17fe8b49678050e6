import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { ComputeSystem } from '../../hcs/schema/documents.ts';
import type { HostName } from '../../hosts/host.ts';
import { identifyProcess } from '../../provision/process-identity.ts';
import { UsageError } from '../usage-error.ts';

/** Begins the name of each console that this command gave to a system. */
const PREFIX = 'hcs-';

/** A unix socket's path has at most 107 bytes (unix(7)). */
const LONGEST_FOLDER = 70;

/** Path of the first COM port that names a pipe; undefined where none does. */
export function consolePathOf({ VirtualMachine }: ComputeSystem): string | undefined {
  const ports = VirtualMachine?.Devices?.ComPorts ?? {};
  return Object.keys(ports)
    .sort()
    .map((key) => ports[key]?.NamedPipe)
    .find((path) => path !== undefined && path !== '');
}

/**
 * The document with a console: where no COM port of it names a pipe, the first gets one, whose name follows from the id.
 * One that came from here for another id, as in the document of a system that was saved, is named anew.
 */
export function withConsole(host: HostName, id: string, document: ComputeSystem): ComputeSystem {
  const machine = document.VirtualMachine;
  if (machine === undefined || host === 'simulated') return document;
  const path = consolePathOf(document);
  if (path !== undefined && !isOurs(path)) return document;
  const ports = machine.Devices?.ComPorts ?? {};
  const port = Object.keys(ports).find((key) => ports[key]?.NamedPipe === path) ?? '0';
  const NamedPipe = consolePathFor(host, id);
  const ComPorts = { ...ports, [port]: { ...ports[port], NamedPipe } };
  const Devices = { ...machine.Devices, ComPorts };
  return { ...document, VirtualMachine: { ...machine, Devices } };
}

/** Whether a path is that of a console that {@link withConsole} has named. */
export function isOurs(path: string): boolean {
  const name = path.startsWith('\\') ? path.slice(path.lastIndexOf('\\') + 1) : basename(path);
  return name.startsWith(PREFIX) && (path.startsWith('\\') || dirname(path) === folderPath());
}

function consolePathFor(host: HostName, id: string): string {
  const name = PREFIX + createHash('sha256').update(id).digest('hex').slice(0, 16);
  return host === 'windows' ? `\\\\.\\pipe\\${name}` : join(openFolder(), name);
}

function folderPath(): string {
  const parent = [process.env.XDG_RUNTIME_DIR, tmpdir()].find(
    (path) => path?.startsWith('/') === true && Buffer.byteLength(path) <= LONGEST_FOLDER,
  );
  return join(parent ?? '/tmp', `hdvkit-consoles-${process.getuid?.() ?? 0}`);
}

/** Removes the folder of consoles when the last one has gone. Never throws. */
export function removeEmptyConsoleFolder(): void {
  if (process.platform === 'win32') return;
  try {
    removeMarksOfDead(folderPath());
    rmdirSync(folderPath());
  } catch {
    // There is none, or there are consoles in it.
  }
}

/**
 * Keeps the folder of consoles while a system is made that has one in it.
 * @returns lets it go
 */
export function holdConsoleFolder(host: HostName): () => void {
  if (host !== 'linux') return () => {};
  for (;;) {
    const path = join(openFolder(), `.${process.pid}`);
    try {
      writeFileSync(path, '', { mode: 0o600 });
      return () => rmSync(path, { force: true });
    } catch (error) {
      // Another command has found it empty, and removed it.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** A command that was killed lets go of nothing. */
function removeMarksOfDead(folder: string): void {
  if (!isOwn(folder)) return;
  for (const name of readdirSync(folder)) {
    const [, pid] = /^\.(\d+)$/.exec(name) ?? [];
    if (pid === undefined || identifyProcess(Number(pid)) !== undefined) continue;
    rmSync(join(folder, name), { force: true });
  }
}

/** The folder of the consoles of this user; nobody else may have made it. */
function openFolder(): string {
  const path = folderPath();
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (isOwn(path)) return path;
  throw new UsageError(
    `Cannot put a console in ${path}: it is no folder that only this user may open`,
    'remove it, or name a pipe for the first COM port in the document',
  );
}

function isOwn(folder: string): boolean {
  const found = lstatSync(folder);
  return found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0;
}
