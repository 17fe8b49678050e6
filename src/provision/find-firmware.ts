import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ProvisionError } from './provision-error.ts';
import { provisionedFirmware } from './provision-firmware.ts';

/** A UEFI firmware for x86-64 machines of QEMU, in two flash images. */
export interface Firmware {
  /** The code, which machines share and never write. */
  readonly code: FlashImage;
  /** The variables as a machine finds them at its first start: each has a copy of its own. */
  readonly variables: FlashImage;
  readonly source: 'installed' | 'provisioned';
}

/** A flash image as QEMU's block layer has it. */
export interface FlashImage {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
}

/** Where to look for firmware. */
export interface FindFirmwareOptions {
  /** Folders with QEMU's firmware descriptions; by default those of the system. */
  readonly folders?: readonly string[];
  readonly cache?: string | undefined;
  /**
   * Firmware with Secure Boot, for machines with System Management Mode: with Microsoft's certificates in its variables, or
   * with none yet. Default: firmware without.
   */
  readonly secureBoot?: 'enrolled' | 'empty' | undefined;
}

/** QEMU, docs/interop/firmware.json: where a system describes its firmware, the first found counts. */
const FOLDERS = [
  '/etc/qemu/firmware',
  '/usr/local/share/qemu/firmware',
  '/usr/share/qemu/firmware',
];

/** Features of a firmware that tell kinds apart, and those of each kind: all of them, and no other. */
const TELLING = ['requires-smm', 'enrolled-keys', 'secure-boot'];
const KINDS = {
  none: [],
  empty: ['requires-smm', 'secure-boot'],
  enrolled: ['requires-smm', 'secure-boot', 'enrolled-keys'],
} as const satisfies Record<string, readonly string[]>;

/**
 * Finds a UEFI firmware: an installed one, else the provisioned one.
 *
 * @throws ProvisionError when there is none
 */
export function findFirmware({
  folders = FOLDERS,
  cache,
  secureBoot,
}: FindFirmwareOptions = {}): Firmware {
  const wanted = KINDS[secureBoot ?? 'none'];
  for (const folder of folders) {
    const found = firmwareIn(folder, wanted);
    if (found !== undefined) return { ...found, source: 'installed' };
  }
  const root = provisionedFirmware(cache);
  const provisioned =
    root === undefined
      ? undefined
      : firmwareIn(join(root, 'usr/share/qemu/firmware'), wanted, root);
  if (provisioned !== undefined) return { ...provisioned, source: 'provisioned' };
  throw new ProvisionError(
    `Cannot find a UEFI firmware for QEMU${secureBoot === undefined ? '' : ' with Secure Boot'}`,
    'run "hdvkit provision", or install your system\'s OVMF package (ovmf, edk2-ovmf)',
  );
}

/**
 * The first fitting firmware that a folder describes, in the order of file names.
 * @param root what the paths in the descriptions are below
 */
function firmwareIn(folder: string, wanted: readonly string[], root = ''): FlashImages | undefined {
  if (!existsSync(folder)) return undefined;
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.json')) continue;
    const found = readDescription(join(folder, name), wanted, root);
    if (found !== undefined) return found;
  }
  return undefined;
}

type FlashImages = Omit<Firmware, 'source'>;

interface FlashFile {
  readonly filename?: string;
  readonly format?: string;
}

interface Description {
  readonly 'interface-types'?: readonly string[];
  readonly mapping?: {
    readonly device?: string;
    readonly executable?: FlashFile;
    readonly 'nvram-template'?: FlashFile;
  };
  readonly targets?: readonly {
    readonly architecture?: string;
    readonly machines?: readonly string[];
  }[];
  readonly features?: readonly string[];
}

function readDescription(
  file: string,
  wanted: readonly string[],
  root: string,
): FlashImages | undefined {
  let description: Description;
  try {
    description = JSON.parse(readFileSync(file, 'utf8')) as Description;
  } catch {
    return undefined;
  }
  const { mapping, targets = [], features = [] } = description;
  const fits =
    description['interface-types']?.includes('uefi') === true &&
    mapping?.device === 'flash' &&
    targets.some(
      ({ architecture, machines = [] }) =>
        architecture === 'x86_64' && machines.some((machine) => machine.startsWith('pc-q35')),
    ) &&
    TELLING.every((feature) => features.includes(feature) === wanted.includes(feature));
  if (!fits) return undefined;
  const code = flashImage(mapping?.executable, root);
  const variables = flashImage(mapping?.['nvram-template'], root);
  return code === undefined || variables === undefined ? undefined : { code, variables };
}

function flashImage(
  { filename, format = 'raw' }: FlashFile = {},
  root: string,
): FlashImage | undefined {
  if (filename === undefined || (format !== 'raw' && format !== 'qcow2')) return undefined;
  const path = join(root, filename);
  return existsSync(path) ? { path, format } : undefined;
}
