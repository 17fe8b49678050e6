/** Where QEMU's loader jumps to: the second sector of the setup code (Linux, Documentation/arch/x86/boot.rst). */
const ENTRY = 0x200;
const CODE = 0x280;

/** Real mode: waits for a byte on COM1, then powers a q35 machine off by its PM1a control register. */
const WAIT_AND_POWER_OFF = [
  ...[0xfb], // wait: sti
  ...[0xf4], // hlt: until the next tick of the timer
  ...[0xba, 0xfd, 0x03], // mov dx, 0x3fd
  ...[0xec], // in al, dx
  ...[0xa8, 0x01], // test al, 1
  ...[0x74, 0xf6], // jz wait
  ...[0xba, 0x04, 0x06], // mov dx, 0x604
  ...[0xb8, 0x00, 0x20], // mov ax, 0x2000
  ...[0xef], // out dx, ax
  ...[0xeb, 0xef], // jmp wait
];

/**
 * A kernel that boots in no time: it does nothing until a byte comes over COM1, when it powers the machine off.
 * @returns an image as QEMU's -kernel takes it
 */
export function tinyKernel(): Buffer {
  const image = Buffer.alloc(2048);
  image[0x1f1] = 1; // setup_sects
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.set([0xeb, CODE - ENTRY - 2], ENTRY); // jmp CODE
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(0x0202, 0x206); // Version of the protocol.
  image[0x211] = 1; // loadflags: LOADED_HIGH
  image.set(WAIT_AND_POWER_OFF, CODE);
  return image;
}
