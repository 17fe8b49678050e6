/** COM1's data register, as every PC has it, and its line status: bit 5 says that the next byte can be sent. */
const COM1 = 0x3f8;
const LINE_STATUS = COM1 + 5;
const CAN_SEND = 0x20;
const SECTOR = 512;
const MIB = 1024 * 1024;

/**
 * The smallest program that UEFI firmware boots on x86-64 (PE32+, subsystem 10): it writes a text to COM1 and stops there.
 * Nobody has signed it.
 */
export function efiProgram(text: string): Buffer {
  const code = Buffer.concat([
    Buffer.from([0x48, 0x8d, 0x35, 31, 0, 0, 0]), // lea rsi, [rip + 31]: the text
    Buffer.from([0xac, 0x84, 0xc0, 0x74, 22]), // next: lodsb; test al, al; jz end
    Buffer.from([0x88, 0xc4]), // mov ah, al
    Buffer.from([0xba, LINE_STATUS & 0xff, LINE_STATUS >> 8, 0, 0]), // mov edx, LINE_STATUS
    Buffer.from([0xec, 0xa8, CAN_SEND, 0x74, 0xfb]), // wait: in al, dx; test al, CAN_SEND; jz wait
    Buffer.from([0xba, COM1 & 0xff, COM1 >> 8, 0, 0]), // mov edx, COM1
    Buffer.from([0x88, 0xe0]), // mov al, ah
    Buffer.from([0xee, 0xeb, 0xe5]), // out dx, al; jmp next
    Buffer.from([0xfa, 0xf4, 0xeb, 0xfc]), // end: cli; hlt; jmp end
    Buffer.from(`${text}\0`, 'latin1'),
  ]);
  // Longer than it has to be: QEMU takes nothing for a kernel that is shorter than the oldest boot sectors of Linux.
  const image = Buffer.alloc(6 * SECTOR);
  image.write('MZ', 'latin1');
  image.writeUInt32LE(0x40, 0x3c);
  image.write('PE\0\0', 0x40, 'latin1');
  image.writeUInt16LE(0x8664, 0x44); // x86-64
  image.writeUInt16LE(1, 0x46); // sections
  image.writeUInt16LE(240, 0x54); // bytes of the optional header
  image.writeUInt16LE(0x22, 0x56); // executable, may be above 2 GiB
  const optional = 0x58;
  image.writeUInt16LE(0x20b, optional); // PE32+
  image.writeUInt32LE(SECTOR, optional + 4); // bytes of code
  image.writeUInt32LE(0x1000, optional + 16); // entry point
  image.writeUInt32LE(0x1000, optional + 20); // base of code
  image.writeUInt32LE(0x1000, optional + 32); // alignment in memory
  image.writeUInt32LE(SECTOR, optional + 36); // alignment in the file
  image.writeUInt32LE(0x2000, optional + 56); // bytes in memory
  image.writeUInt32LE(SECTOR, optional + 60); // bytes of headers
  image.writeUInt16LE(10, optional + 68); // subsystem: EFI application
  image.writeUInt32LE(16, optional + 108); // data directories
  const section = optional + 240;
  image.write('.text', section, 'latin1');
  image.writeUInt32LE(SECTOR, section + 8);
  image.writeUInt32LE(0x1000, section + 12);
  image.writeUInt32LE(SECTOR, section + 16);
  image.writeUInt32LE(SECTOR, section + 20);
  image.writeUInt32LE(0x6000_0020, section + 36); // code, executable, readable
  code.copy(image, SECTOR);
  return image;
}

/** A disk with a FAT12 file system, and a program where firmware looks for one: \EFI\BOOT\BOOTX64.EFI. */
export function efiDisk(program: Buffer): Buffer {
  const disk = Buffer.alloc(MIB);
  const sectors = disk.length / SECTOR;
  const tableSectors = 6;
  const rootEntries = 16;
  disk.write('\xeb\x3c\x90HDVKIT  ', 'latin1');
  disk.writeUInt16LE(SECTOR, 11);
  disk.writeUInt8(1, 13); // sectors of a cluster
  disk.writeUInt16LE(1, 14); // sectors before the table
  disk.writeUInt8(1, 16); // tables
  disk.writeUInt16LE(rootEntries, 17);
  disk.writeUInt16LE(sectors, 19);
  disk.writeUInt8(0xf8, 21); // a disk that stays
  disk.writeUInt16LE(tableSectors, 22);
  disk.writeUInt8(0x29, 38);
  disk.write('NO NAME    FAT12   ', 43, 'latin1');
  disk.writeUInt16LE(0xaa55, 510);
  const root = (1 + tableSectors) * SECTOR;
  const cluster = (number: number): number => root + rootEntries * 32 + (number - 2) * SECTOR;
  const entry = (at: number, name: string, first: number, size?: number): void => {
    disk.write(name, at, 'latin1');
    disk.writeUInt8(size === undefined ? 0x10 : 0x20, at + 11);
    disk.writeUInt16LE(first, at + 26);
    disk.writeUInt32LE(size ?? 0, at + 28);
  };
  const directory = (number: number, parent: number): void => {
    entry(cluster(number), '.          ', number);
    entry(cluster(number) + 32, '..         ', parent);
  };
  const next = (number: number, value: number): void => {
    const at = SECTOR + number + (number >> 1);
    const word = disk.readUInt16LE(at);
    const isOdd = (number & 1) === 1;
    disk.writeUInt16LE(isOdd ? (word & 0x000f) | (value << 4) : (word & 0xf000) | value, at);
  };
  const LAST = 0xfff;
  const [efi, boot, file] = [2, 3, 4];
  next(0, 0xff8);
  next(1, LAST);
  entry(root, 'EFI        ', efi);
  directory(efi, 0);
  next(efi, LAST);
  entry(cluster(efi) + 64, 'BOOT       ', boot);
  directory(boot, efi);
  next(boot, LAST);
  entry(cluster(boot) + 64, 'BOOTX64 EFI', file, program.length);
  program.copy(disk, cluster(file));
  const count = Math.ceil(program.length / SECTOR);
  for (let i = 0; i < count; i++) next(file + i, i === count - 1 ? LAST : file + i + 1);
  return disk;
}
