import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { HcsError } from '../../hcs/hcs-error.ts';
import { backingChain } from './qcow2-backing.ts';
import { qcow2Beyond } from './qcow2-end.ts';
import { requireAbsolute } from './required-file.ts';
import { resourceFailure } from './resources/resource-failure.ts';
import { vhdFooterOf } from './vhd-footer.ts';

/**
 * Checks a file that QEMU is to open, before it is asked to.
 * @param path where the document names it
 * @throws HcsError E_INVALIDARG for a path that is not absolute, ERROR_FILE_NOT_FOUND, ERROR_INVALID_DATA for a folder,
 * E_ACCESSDENIED
 */
export function requireImage(path: string, file: string, writes: boolean): Stats {
  const subject = `${path} is "${file}"`;
  requireAbsolute(path, file);
  const status = statSync(file, { throwIfNoEntry: false });
  if (status === undefined) {
    throw resourceFailure(
      'ERROR_FILE_NOT_FOUND',
      `${subject}: there is no such file; make it, or correct the path`,
    );
  }
  if (status.isDirectory()) {
    throw resourceFailure('ERROR_INVALID_DATA', `${subject}: that is a folder; name a file`);
  }
  try {
    accessSync(file, writes ? constants.R_OK | constants.W_OK : constants.R_OK);
  } catch (error) {
    const verb = writes ? 'read and written' : 'read';
    throw resourceFailure(
      'E_ACCESSDENIED',
      `${subject}: it cannot be ${verb}; see to the rights of the file and its folders`,
      error,
    );
  }
  return status;
}

/**
 * A qcow2 image and those that it stands on.
 * @param path where the document names it
 * @throws HcsError ERROR_FILE_NOT_FOUND for one below it that is not there
 */
export function withBacking(path: string, file: string): readonly string[] {
  try {
    return [file, ...backingChain(file)];
  } catch (error) {
    const { code, path: below } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') return [file]; // QEMU says what it is.
    throw resourceFailure(
      'ERROR_FILE_NOT_FOUND',
      `${path} is "${file}", which stands on "${below}": there is no such file; put it there, or "qemu-img rebase" the image`,
      error,
    );
  }
}

/**
 * Looks whether an image has its end, and those that it stands on theirs, where QEMU does not: a guest would read zeros
 * and write over what is left.
 * @param path where the document names it
 * @param images {@link withBacking}
 * @param format as QEMU calls it
 * @throws HcsError ERROR_INVALID_DATA
 */
export function requireWholeImages(path: string, images: readonly string[], format: string): void {
  for (const image of images) {
    const missing = missingEnd(image, format);
    if (missing === undefined) continue;
    const which = image === images[0] ? 'the image' : `the image below it, "${image}",`;
    throw resourceFailure(
      'ERROR_INVALID_DATA',
      `${path} is "${images[0]}": ${which} was cut off, as ${missing}; copy it again from where it came, or look at what is left with "qemu-img check"`,
    );
  }
}

/** What says that an image was cut off. */
function missingEnd(file: string, format: string): string | undefined {
  if (format === 'vpc') {
    return vhdFooterOf(file) === undefined ? 'it does not end in the footer of a VHD' : undefined;
  }
  if (format !== 'qcow2') return undefined;
  const beyond = qcow2Beyond(file);
  if (beyond === undefined) return undefined;
  return `it has ${statSync(file).size} bytes and something at byte ${beyond}`;
}

/** What QEMU's refusal to open a file means. A failure that is known already, as of a machine without slots, stays. */
export function imageFailure(path: string, file: string, error: unknown): HcsError {
  if (error instanceof HcsError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const subject = `${path} is "${file}"`;
  if (/Failed to get .*lock/.test(reason)) {
    return resourceFailure(
      'ERROR_SHARING_VIOLATION',
      `${subject}: the file is in use by another machine or program; end that one, or attach the file read-only in both`,
      error,
    );
  }
  if (/Permission denied/.test(reason)) {
    return resourceFailure(
      'E_ACCESSDENIED',
      `${subject}: QEMU may not open it; grant the machine access with HcsGrantVmAccess`,
      error,
    );
  }
  return resourceFailure(
    'ERROR_INVALID_DATA',
    `${subject}: QEMU cannot open it (${reason}); look at it with "qemu-img check", and see that its name ends in .vhdx, .vhd or .qcow2 if it is of that format`,
    error,
  );
}
