import { statSync } from 'node:fs';
import { findInPath, isExecutable } from './find-in-path.ts';
import { ProvisionError } from './provision-error.ts';
import { provisionedQemu } from './provision-qemu.ts';
import { runTool } from './run-tool.ts';

/** A QEMU that can attach vfio-user devices. */
export interface QemuProgram {
  /** What to spawn. */
  readonly command: string;
  /** What stands before QEMU's own arguments: nothing, or what a QEMU outside the system's folders needs. */
  readonly args: readonly string[];
  /** `'11.1.3'`. */
  readonly version: string;
  readonly source: 'explicit' | 'installed' | 'provisioned';
  /** Whether it can confine itself to the system calls that it needs (-sandbox): a matter of how it was built. */
  readonly hasSandbox: boolean;
}

/** Where to look for QEMU. */
export interface FindQemuOptions {
  /** Path of a qemu-system-x86_64, to be used and no other; default: `HDVKIT_QEMU`. */
  readonly explicit?: string | undefined;
  readonly cache?: string | undefined;
}

export { findInPath };

const PROGRAM = 'qemu-system-x86_64';
const TOO_OLD = 'vfio-user-pci came with QEMU 10.1.1';
const REMEDY =
  'run "hdvkit provision", or install QEMU 10.1.1 or later and name it by --qemu or HDVKIT_QEMU';

/**
 * Finds a QEMU with vfio-user-pci: the one that was named, else an installed one, else the provisioned one.
 *
 * @throws ProvisionError when there is none, or the named one does not do
 */
export async function findQemu(options: FindQemuOptions = {}): Promise<QemuProgram> {
  const explicit = options.explicit ?? (process.env.HDVKIT_QEMU || undefined);
  if (explicit !== undefined) return await probeExplicit(explicit);
  const installed = findInPath(PROGRAM);
  const probed = installed === undefined ? undefined : await probe(installed, []);
  if (installed !== undefined && probed?.usable === true) {
    const { version, hasSandbox } = probed;
    return { command: installed, args: [], version, hasSandbox, source: 'installed' };
  }
  const provisioned = provisionedQemu(options.cache);
  if (provisioned !== undefined) return { ...provisioned, source: 'provisioned', hasSandbox: true };
  throw new ProvisionError(
    probed === undefined
      ? `Cannot find ${PROGRAM}`
      : `Cannot use ${installed}: it is QEMU ${probed.version} without vfio-user-pci, and ${TOO_OLD}`,
    REMEDY,
  );
}

async function probeExplicit(path: string): Promise<QemuProgram> {
  const command = path.includes('/') ? path : findInPath(path);
  if (command === undefined || !isExecutable(command)) {
    throw new ProvisionError(`Cannot run ${path}: there is no such program`, REMEDY);
  }
  const probed = await probe(command, []);
  if (probed === undefined) {
    throw new ProvisionError(`Cannot run ${command}: it does not answer as QEMU does`, REMEDY);
  }
  if (!probed.usable) {
    throw new ProvisionError(
      `Cannot use ${command}: it is QEMU ${probed.version} without vfio-user-pci, and ${TOO_OLD}`,
      REMEDY,
    );
  }
  const { version, hasSandbox } = probed;
  return { command, args: [], version, hasSandbox, source: 'explicit' };
}

interface Probe {
  readonly version: string;
  readonly usable: boolean;
  readonly hasSandbox: boolean;
}

const probes = new Map<string, Promise<Probe | undefined>>();

/** As {@link probeQemu}, once per file and process. */
function probe(command: string, args: readonly string[]): Promise<Probe | undefined> {
  const { mtimeMs, size } = statSync(command);
  const key = `${command}\n${mtimeMs}\n${size}`;
  let result = probes.get(key);
  if (result === undefined) {
    result = probeQemu(command, args);
    probes.set(key, result);
  }
  return result;
}

/** Asks a QEMU for its version, and whether it has vfio-user-pci and a sandbox. Undefined for what is no QEMU. */
export async function probeQemu(
  command: string,
  args: readonly string[],
): Promise<Probe | undefined> {
  const ask = async (...question: string[]): Promise<string> => {
    try {
      const { stdout } = await runTool(command, [...args, ...question], { timeout: 20_000 });
      return stdout;
    } catch {
      return '';
    }
  };
  const version = /QEMU emulator version (\d+\.\d+(?:\.\d+)?)/.exec(await ask('--version'))?.[1];
  if (version === undefined) return undefined;
  const usable = (await ask('-device', 'help')).includes('"vfio-user-pci"') && version !== '10.1.0';
  return { version, usable, hasSandbox: /^-sandbox /m.test(await ask('--help')) };
}
