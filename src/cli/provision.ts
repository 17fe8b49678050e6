import type { Command } from 'commander';
import { cacheDirectory } from '../provision/cache-directory.ts';
import { findFirmware } from '../provision/find-firmware.ts';
import { findQemu } from '../provision/find-qemu.ts';
import { findSideProgram } from '../provision/find-side-program.ts';
import { type OldVersion, removeOldVersions } from '../provision/old-versions.ts';
import { COMPILER_FOLDER, provisionAgent } from '../provision/provision-agent.ts';
import { ProvisionError } from '../provision/provision-error.ts';
import { FIRMWARE_FOLDER, provisionFirmware } from '../provision/provision-firmware.ts';
import { GUEST_FOLDER, provisionGuest } from '../provision/provision-guest.ts';
import type { ProvisionOptions } from '../provision/provision-options.ts';
import { provisionQemu, QEMU_FOLDER } from '../provision/provision-qemu.ts';
import { provisionSideProgram, sideProgramFolder } from '../provision/provision-side-program.ts';
import { SIDE_PROGRAM_NAMES, type SideProgramName } from '../provision/side-programs.ts';
import { CleanUp } from './clean-up.ts';
import { ProgressDisplay } from './progress.ts';
import { print } from './terminal.ts';

/** Adds `hdvkit provision`. */
export function addProvision(program: Command): void {
  program
    .command('provision')
    .summary('fetch QEMU and a Linux guest into the cache')
    .description(
      'Fetches a QEMU with vfio-user-pci (unless an installed one has it) and a test guest into the cache directory, with a UEFI firmware and the programs that run beside QEMU (virtiofsd, swtpm, vhost-device-vsock) unless they are installed. Nothing else of the machine changes. What is there already is kept, and an interrupted run is picked up. What older versions of hdvkit have put there, and this one does not use, is removed unless a process uses it.',
    )
    .option('--force', 'fetch again, for newer versions')
    .addHelpText(
      'after',
      '\nThe cache is $HDVKIT_CACHE, else $XDG_CACHE_HOME/hdvkit, else ~/.cache/hdvkit.\n\nExample:\n  $ hdvkit provision',
    )
    .action(runProvision);
}

async function runProvision(options: { readonly force?: boolean }): Promise<void> {
  await using cleanUp = new CleanUp();
  const display = new ProgressDisplay();
  // On a signal the process ends before the step that reports does.
  cleanUp.add(() => display.finish());
  const shared: ProvisionOptions = {
    progress: display.update,
    signal: cleanUp.signal,
    force: options.force,
  };
  try {
    const qemu = await ensureQemu(shared);
    display.finish();
    print(`QEMU ${qemu}`);
    const firmware = await ensureFirmware(shared);
    display.finish();
    print(`UEFI firmware: ${firmware}`);
    const guest = await provisionGuest(shared);
    display.finish();
    print(`guest kernel ${guest.kernelRelease}: ${guest.kernel}`);
    const agent = await provisionAgent(shared);
    display.finish();
    print(`guest agent: ${agent}`);
    for (const name of SIDE_PROGRAM_NAMES) {
      const found = await ensureSideProgram(name, shared);
      display.finish();
      print(`${name} ${found}`);
    }
    for (const old of removeOldVersions(cacheDirectory(), FOLDERS)) print(fate(old));
  } finally {
    display.finish();
  }
}

/** Folders of the cache that this version uses. */
const FOLDERS: readonly string[] = [
  QEMU_FOLDER,
  FIRMWARE_FOLDER,
  GUEST_FOLDER,
  COMPILER_FOLDER,
  ...SIDE_PROGRAM_NAMES.map(sideProgramFolder),
];

function fate({ name, usedBy }: OldVersion): string {
  if (usedBy === undefined) return `removed ${name}, of an older version of hdvkit`;
  const [first, ...others] = usedBy;
  const who = first === undefined ? 'another process is at it' : `process ${first} uses it`;
  const more = others.length === 0 ? '' : `, with ${others.length} more`;
  return `kept ${name}, of an older version of hdvkit: ${who}${more}`;
}

/** An installed firmware that will do is kept, also with `force`. */
async function ensureFirmware(options: ProvisionOptions): Promise<string> {
  try {
    const found = findFirmware();
    if (found.source === 'installed') return found.code.path;
  } catch (error) {
    if (!(error instanceof ProvisionError)) throw error;
  }
  await provisionFirmware(options);
  return findFirmware().code.path;
}

/** An installed one that will do is kept, also with `force`. */
async function ensureSideProgram(
  name: SideProgramName,
  options: ProvisionOptions,
): Promise<string> {
  try {
    const { version, source, command } = await findSideProgram(name);
    if (source === 'installed') return `${version}, ${source}: ${command}`;
  } catch (error) {
    if (!(error instanceof ProvisionError)) throw error;
  }
  const { version } = await provisionSideProgram(name, options);
  return `${version}, provisioned`;
}

/** An installed QEMU that will do is kept, also with `force`: only what is in the cache is fetched again. */
async function ensureQemu(options: ProvisionOptions): Promise<string> {
  try {
    const found = await findQemu();
    if (found.source !== 'provisioned')
      return `${found.version}, ${found.source}: ${found.command}`;
  } catch (error) {
    if (!(error instanceof ProvisionError) || process.env.HDVKIT_QEMU) throw error;
  }
  const { version } = await provisionQemu(options);
  return `${version}, provisioned`;
}
