import {
  closeFd,
  createMemoryFile,
  duplicateFd,
  identifyFile,
  isWritable,
  sealAgainstShrinking,
} from '../ffi/descriptors.ts';
import { MAX_VIEW } from '../ffi/memory.ts';
import type { HANDLE } from '../hcs/core/handles.ts';
import type { Section } from '../hdv/hdv-binding.ts';
import { AddressRange } from '../vfio-user/address-range.ts';
import type { OpenSection } from './local-platform.ts';

/** A part of a memory file in use by a mapped range. */
export interface OpenFileSection extends OpenSection {
  readonly bytes: Buffer;
  /** Of the part's file; open until disposal. */
  readonly fd: number;
  /** Where the part starts in the file. */
  readonly offset: number;
}

/**
 * A section of its own: a memory file, whose descriptor is the handle.
 * @param size bytes, a multiple of the page size
 * @returns undefined when the system has no memory or descriptor left for it
 */
export function createFileSection(size: number): Section | undefined {
  if (size > MAX_VIEW) return undefined;
  let fd = -1;
  let range: AddressRange | undefined;
  try {
    fd = createMemoryFile('hdvkit-section', size);
    sealAgainstShrinking(fd);
    range = new AddressRange(size);
    range.showFile(0, size, fd, 0);
  } catch {
    range?.release();
    closeFd(fd);
    return undefined;
  }
  const shown = range;
  const bytes = shown.views[0]!;
  let isOpen = true;
  return {
    handle: BigInt(fd),
    bytes,
    [Symbol.dispose]: () => {
      if (!isOpen) return;
      isOpen = false;
      shown.release();
      closeFd(fd);
    },
  };
}

/**
 * Part of a memory file, or of any regular file that can be written.
 * @param offset, length in bytes, multiples of the page size
 * @returns undefined when the handle is no such file, or the file is shorter
 * @throws SystemCallError when it cannot be mapped
 */
export function openFileSection(
  handle: HANDLE,
  offset: number,
  length: number,
): OpenFileSection | undefined {
  const number = Number(handle);
  if (length > MAX_VIEW || !isFileOf(number, offset + length)) return undefined;
  const fd = duplicateFd(number);
  const range = new AddressRange(length);
  try {
    // Of another file than a memory file, its owner has to see to it that it does not shrink.
    sealAgainstShrinking(fd);
    range.showFile(0, length, fd, offset);
  } catch (error) {
    range.release();
    closeFd(fd);
    throw error;
  }
  const bytes = range.views[0]!;
  return {
    bytes,
    fd,
    offset,
    memory: { bytes },
    [Symbol.dispose]: () => {
      range.release();
      closeFd(fd);
    },
  };
}

function isFileOf(fd: number, size: number): boolean {
  if (!(Number.isInteger(fd) && fd >= 0 && fd < 2 ** 31)) return false;
  try {
    const file = identifyFile(fd);
    return file.isRegular && file.size >= size && isWritable(fd);
  } catch {
    return false;
  }
}
