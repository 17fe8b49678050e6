import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from '../../provision/cache-directory.ts';
import type { QemuProgram } from '../../provision/find-qemu.ts';
import { buildProbeImage, PROBE_ANSWER } from '../../provision/probe-image.ts';
import { provisionedGuest } from '../../provision/provision-guest.ts';
import { runTool } from '../../provision/run-tool.ts';

/** What a machine can run on. */
export type Accelerator = 'tcg' | 'kvm';

/** A kernel on working hardware virtualization is through in under two seconds. */
const PROBE_LIMIT_MS = 15_000;

/**
 * The accelerator for machines: the wanted one, or for `'auto'` KVM where a bounded test boot of the test guest's kernel
 * has got to user space, else TCG. `/dev/kvm` may open and still be unable to run a stock kernel. The answer is kept in
 * the cache until the machine boots anew.
 */
export async function chooseAccelerator(
  qemu: QemuProgram,
  wanted: 'auto' | Accelerator,
  cache: string = cacheDirectory(),
): Promise<Accelerator> {
  if (wanted !== 'auto') return wanted;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const key = `${bootId} ${qemu.version}`;
  const file = join(cache, 'accelerator.json');
  const known = readAnswer(file);
  if (known?.key === key) return known.accelerator;
  const accelerator = (await bootsWithKvm(qemu, cache)) ? 'kvm' : 'tcg';
  mkdirSync(cache, { recursive: true });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify({ key, accelerator }));
  renameSync(draft, file);
  return accelerator;
}

function readAnswer(
  file: string,
): { readonly key: string; readonly accelerator: Accelerator } | undefined {
  try {
    const { key, accelerator } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    if (typeof key !== 'string') return undefined;
    return accelerator === 'kvm' || accelerator === 'tcg' ? { key, accelerator } : undefined;
  } catch {
    return undefined;
  }
}

async function bootsWithKvm(qemu: QemuProgram, cache: string): Promise<boolean> {
  const guest = provisionedGuest(cache);
  if (guest === undefined) return false;
  const { stdout } = await runTool(
    qemu.command,
    [
      ...qemu.args,
      ...['-machine', 'q35', '-accel', 'kvm', '-cpu', 'host', '-m', '256', '-nodefaults'],
      ...['-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
      ...['-kernel', guest.kernel, '-initrd', await buildProbeImage(guest, cache)],
      ...['-append', 'console=ttyS0 quiet panic=-1'],
    ],
    { timeout: PROBE_LIMIT_MS },
  );
  return stdout.includes(PROBE_ANSWER);
}
