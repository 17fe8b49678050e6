import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireDiskAccess } from '../../src/engines/qemu/machine-access.ts';
import type { PlannedDisk } from '../../src/engines/qemu/machine-plan.ts';
import { planPersistentMemory } from '../../src/engines/qemu/resources/persistent-memory.ts';
import { VhdType, vhdFooterOf } from '../../src/engines/qemu/vhd-footer.ts';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { ImageMaker } from './disk-images.ts';

const MIB = 1024 * 1024;
const CLUSTER = 64 * 1024;
/** Bit 62 of an entry, in its first byte. */
const COMPRESSED = 0x40;

let folder: string;
let qcow2: string;
let vhd: string;
let top: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvi-'));
  qcow2 = join(folder, 'whole.qcow2');
  vhd = join(folder, 'whole.vhd');
  const images = await ImageMaker.start();
  await images.create(qcow2, 'qcow2', 64 * MIB, 'D');
  await images.create(join(folder, 'below.qcow2'), 'qcow2', MIB, 'B');
  top = join(folder, 'top.qcow2');
  await images.create(top, 'qcow2', MIB, 'T', 'below.qcow2');
  await images.create(vhd, 'vpc', 64 * MIB, 'D');
  await images.close();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A copy of an image, with its bytes changed. */
function changed(image: string, change: (bytes: Buffer) => Buffer | undefined): string {
  const path = join(folder, 'changed');
  const bytes = readFileSync(image);
  writeFileSync(path, change(bytes) ?? bytes);
  return path;
}

function problem(path: string, format: string): string | undefined {
  try {
    requireDiskAccess({ id: 'vm', account: undefined }, '$.Path', {
      path,
      format,
      readOnly: false,
    } as PlannedDisk);
    return undefined;
  } catch (error) {
    if (error instanceof HcsError) return `${error.code}: ${error.reason}`;
    throw error;
  }
}

test('a qcow2 image is refused wherever it was cut off', () => {
  expect(problem(qcow2, 'qcow2')).toBeUndefined();
  const { length } = readFileSync(qcow2);
  for (let size = CLUSTER; size < length; size += CLUSTER) {
    const path = join(folder, 'cut');
    copyFileSync(qcow2, path);
    truncateSync(path, size);
    expect(problem(path, 'qcow2')).toMatch(
      new RegExp(
        `^ERROR_INVALID_DATA: .*: the image was cut off, as it has ${size} bytes and something at byte \\d+; copy`,
      ),
    );
  }
});

/** Offset of the only block of counts. */
function countsOf(bytes: Buffer): number {
  return Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(48))));
}

/** Offset of the table of clusters, and in it of the only entry: of the first cluster. */
function tableOf(bytes: Buffer): number {
  return Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(40))) & 0xff_ffff_ffff_fe00n);
}

test('a cluster that is counted, and that no table has, is not missed', () => {
  const leaking = (bytes: Buffer): undefined => {
    bytes.writeUInt16BE(1, countsOf(bytes) + 2 * (bytes.length / CLUSTER + 3));
  };
  expect(problem(changed(qcow2, leaking), 'qcow2')).toBeUndefined();
  // Of one that was not closed, the tables count.
  const cut = changed(qcow2, (bytes) => {
    bytes.writeUInt32BE(1, 76);
    bytes.fill(0, countsOf(bytes), countsOf(bytes) + CLUSTER);
    return bytes.subarray(0, bytes.length - CLUSTER);
  });
  expect(problem(cut, 'qcow2')).toContain('something at byte');
});

test('a compressed cluster begins at any byte', () => {
  const compressed = (offset: number) => (bytes: Buffer) => {
    bytes.writeUInt16BE(1, countsOf(bytes) + 2 * 100);
    bytes.writeBigUInt64BE(BigInt(offset), tableOf(bytes));
    bytes[tableOf(bytes)] = COMPRESSED;
    return bytes;
  };
  const { length } = readFileSync(qcow2);
  expect(problem(changed(qcow2, compressed(length - 1)), 'qcow2')).toBeUndefined();
  expect(problem(changed(qcow2, compressed(length)), 'qcow2')).toContain(
    `something at byte ${length};`,
  );
});

/** As an image that was not closed, so that its tables are looked at. */
function unclosed(bytes: Buffer): void {
  bytes.writeUInt32BE(1, 76);
}

test('offsets that no file has are beyond its end', () => {
  const far = changed(qcow2, (bytes) => {
    unclosed(bytes);
    bytes.writeBigUInt64BE(2n ** 63n, 40);
    return bytes;
  });
  expect(problem(far, 'qcow2')).toContain(`something at byte ${2 ** 63};`);
});

test('an image that has more tables than anybody looks at is left to QEMU', () => {
  const entries = 4 * MIB;
  const many = changed(qcow2, (bytes) => {
    unclosed(bytes);
    bytes.writeUInt32BE(entries, 36);
    bytes.writeBigUInt64BE(BigInt(bytes.length), 40);
    const entry = Buffer.alloc(8);
    entry.writeBigUInt64BE(BigInt(tableOf(readFileSync(qcow2))));
    return Buffer.concat([bytes, Buffer.alloc(8 * entries, entry)]);
  });
  // 256 GiB would be read.
  expect(problem(many, 'qcow2')).toBeUndefined();
});

test('an image below is looked at as well, and has to be there', () => {
  expect(problem(top, 'qcow2')).toBeUndefined();
  const below = join(folder, 'below.qcow2');
  truncateSync(below, 4 * CLUSTER);
  expect(problem(top, 'qcow2')).toContain(
    `ERROR_INVALID_DATA: $.Path is "${top}": the image below it, "${below}", was cut off`,
  );
  rmSync(below);
  expect(problem(top, 'qcow2')).toContain(
    `ERROR_FILE_NOT_FOUND: $.Path is "${top}", which stands on "${below}": there is no such file`,
  );
});

test('a VHD ends in a footer that is as it was written', () => {
  expect(vhdFooterOf(vhd)).toMatchObject({ currentSize: 64 * MIB, diskType: VhdType.DYNAMIC });
  expect(problem(vhd, 'vpc')).toBeUndefined();
  for (const cut of [1, 512, 1024]) {
    const path = changed(vhd, (bytes) => bytes.subarray(0, bytes.length - cut));
    expect(problem(path, 'vpc')).toContain('it does not end in the footer of a VHD');
  }
  const damaged = changed(vhd, (bytes) => {
    bytes.writeUInt8(9, bytes.length - 512 + 48);
    return bytes;
  });
  expect(vhdFooterOf(damaged)).toBeUndefined();
});

test('a VHD that grows is no persistent memory', async () => {
  const device = { Devices: { '0': { HostPath: vhd } } };
  const error = await errorOf(async () => planPersistentMemory(device));
  expect(error.code).toBe('ERROR_INVALID_DATA');
  expect(error.reason).toContain(`is "${vhd}", a VHD that grows: only a fixed one can be mapped`);
});
