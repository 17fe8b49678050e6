import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fuzz, type PlugOptions, SimulatedVm } from 'hdvkit/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { Serial16550 } from '../../devices/serial-16550/index.ts';
import {
  Board,
  Fcr,
  FIFO_LENGTH,
  Ier,
  Iir,
  Lcr,
  Lsr,
  Mcr,
  Msr,
  TRIGGER_LEVELS,
  UART,
} from '../../devices/serial-16550/registers.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';
import { socketPath } from './socket-path.ts';

const at = (offset: number): number => Board.UART + offset;
const DATA = at(UART.offsets.RBR_THR_DLL);
const IER = at(UART.offsets.IER_DLM);
const IIR = at(UART.offsets.IIR_FCR);
const FCR = IIR;
const LCR = at(UART.offsets.LCR);
const MCR = at(UART.offsets.MCR);
const LSR = at(UART.offsets.LSR);
const MSR = at(UART.offsets.MSR);
const SCR = at(UART.offsets.SCR);

const EIGHT_BITS = 3;
const READY = Mcr.DTR | Mcr.RTS | Mcr.OUT2;
const IDLE = Lsr.HOLDING_EMPTY | Lsr.EMPTY;
const WITH_FIFOS = Iir.FIFOS;

function plug(options: PlugOptions = {}, vm = new SimulatedVm()) {
  const device = new Serial16550();
  const sent: Buffer[] = [];
  device.onOutput = (bytes) => sent.push(bytes);
  const guest = vm.plug(device, options);
  const bar0 = guest.bar(0);
  const output = (): string => Buffer.concat(sent).toString('latin1');
  return { vm, device, guest, bar0, output };
}

/** A port that a driver has opened: eight bits, FIFOs with the given trigger level, DTR and RTS set. */
function opened({ trigger = 0, ier = 0 } = {}) {
  const plugged = plug();
  const { bar0 } = plugged;
  bar0.write8(LCR, EIGHT_BITS);
  bar0.write8(FCR, Fcr.ENABLE | (trigger << Fcr.TRIGGER_SHIFT));
  bar0.write8(MCR, READY);
  bar0.read8(MSR);
  bar0.write8(IER, ier);
  return plugged;
}

const bytesOf = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i);

test('is a 16550-compatible controller that the stock driver knows', () => {
  const { guest } = plug();
  expect([guest.vendorId, guest.deviceId, guest.classCode]).toEqual([0x15b8, 0x7010, 0x070002]);
  expect(guest.interrupts.offered).toEqual({ mode: 'intx', count: 1 });
});

test('is idle after reset, connected, and has nothing to say', () => {
  const { bar0 } = plug();
  expect(bar0.read8(IER)).toBe(0);
  expect(bar0.read8(IIR)).toBe(Iir.NONE);
  expect(bar0.read8(LCR)).toBe(0);
  expect(bar0.read8(MCR)).toBe(0);
  expect(bar0.read8(LSR)).toBe(IDLE);
  expect(bar0.read8(MSR) & 0xf0).toBe(Msr.CTS | Msr.DSR | Msr.DCD);
  expect(bar0.read8(SCR)).toBe(0);
  expect(bar0.read8(DATA)).toBe(0);
});

test('keeps what is written to the scratch register, and only four bits of IER, five of MCR', () => {
  const { bar0 } = plug();
  for (const offset of [SCR, IER, MCR]) bar0.write8(offset, 0xff);
  expect(bar0.read8(SCR)).toBe(0xff);
  expect(bar0.read8(IER)).toBe(0x0f);
  expect(bar0.read8(MCR)).toBe(0x1f);
});

test('shows the divisor in place of data and IER while the latch bit is set', () => {
  const { bar0, output, vm } = plug();
  bar0.write8(LCR, Lcr.DIVISOR_LATCH | EIGHT_BITS);
  bar0.write8(DATA, 0x22);
  bar0.write8(IER, 0x11);
  expect([bar0.read8(DATA), bar0.read8(IER)]).toEqual([0x22, 0x11]);
  bar0.write8(LCR, EIGHT_BITS);
  expect(bar0.read8(IER)).toBe(0);
  vm.advance(1);
  expect(output()).toBe('');
});

describe('transmitter', () => {
  test('hands over what the guest sends, in order', () => {
    const { vm, bar0, output } = opened();
    for (const byte of Buffer.from('hello\n')) bar0.write8(DATA, byte);
    expect(bar0.read8(LSR)).toBe(IDLE);
    vm.advance(1);
    expect(output()).toBe('hello\n');
  });

  test('sends as many bits as the word has', () => {
    const { vm, bar0, output } = opened();
    for (const length of [3, 2, 1, 0]) {
      bar0.write8(LCR, length);
      bar0.write8(DATA, 0xff);
    }
    vm.advance(1);
    expect(Buffer.from(output(), 'latin1')).toEqual(Buffer.of(0xff, 0x7f, 0x3f, 0x1f));
  });

  test('hands over long output in pieces without waiting', () => {
    const { bar0, output } = opened();
    for (let i = 0; i < 5000; i++) bar0.write8(DATA, 0x61);
    expect(output()).toHaveLength(4096);
  });

  test('hands over what is left when it is unplugged', () => {
    const { vm, guest, bar0, output } = opened();
    bar0.write8(DATA, 0x21);
    vm.unplug(guest);
    expect(output()).toBe('!');
  });

  test('interrupts when it is empty: once enabled, and after each byte, until it is identified', () => {
    const { guest, bar0 } = opened();
    bar0.write8(IER, Ier.TRANSMITTER_EMPTY);
    expect(guest.interrupts.line).toBe(true);
    expect(bar0.read8(IIR)).toBe(Iir.TRANSMITTER_EMPTY | WITH_FIFOS);
    expect(guest.interrupts.line).toBe(false);
    expect(bar0.read8(IIR)).toBe(Iir.NONE | WITH_FIFOS);
    bar0.write8(DATA, 1);
    expect(guest.interrupts.line).toBe(true);
    expect(guest.takeInterrupts()).toEqual([0, 0]);
  });

  test('interrupts again when its interrupt is disabled and enabled', () => {
    const { guest, bar0 } = opened({ ier: Ier.TRANSMITTER_EMPTY });
    bar0.read8(IIR);
    bar0.write8(IER, 0);
    bar0.write8(IER, Ier.TRANSMITTER_EMPTY);
    expect(guest.interrupts.line).toBe(true);
  });
});

describe('receiver', () => {
  test('has what the far end sent, in order, and then nothing', () => {
    const { device, bar0 } = opened();
    device.input(Buffer.from('ab'));
    expect(bar0.read8(LSR)).toBe(IDLE | Lsr.DATA_READY);
    expect([bar0.read8(DATA), bar0.read8(DATA)]).toEqual([0x61, 0x62]);
    expect(bar0.read8(LSR)).toBe(IDLE);
    expect(bar0.read8(DATA)).toBe(0);
  });

  test('is fed only while RTS is set', () => {
    const { device, bar0 } = opened();
    bar0.write8(MCR, Mcr.DTR);
    device.input(Buffer.from('x'));
    expect(bar0.read8(LSR)).toBe(IDLE);
    bar0.write8(MCR, Mcr.DTR | Mcr.RTS);
    expect(bar0.read8(DATA)).toBe(0x78);
  });

  test('is never overrun by the far end, however much it sends', () => {
    const { vm, device, bar0 } = opened();
    device.input(bytesOf(200));
    expect(device.waiting).toBe(200);
    const received: number[] = [];
    while (device.waiting > 0) {
      while (bar0.read8(LSR) & Lsr.DATA_READY) received.push(bar0.read8(DATA));
      vm.advance(1);
    }
    expect(received).toEqual([...bytesOf(200)]);
    expect(bar0.read8(LSR)).toBe(IDLE);
  });

  test('lets a driver that reads until nothing is left come to an end', () => {
    const { vm, device, bar0 } = opened();
    device.input(bytesOf(200));
    let count = 0;
    for (; bar0.read8(LSR) & Lsr.DATA_READY; count++) bar0.read8(DATA);
    expect(count).toBe(64);
    vm.advance(1);
    expect(bar0.read8(DATA)).toBe(64);
  });

  test('loses what it holds, and no more, when the FIFO is cleared', () => {
    const { device, bar0 } = opened();
    device.input(bytesOf(FIFO_LENGTH + 1));
    bar0.write8(FCR, Fcr.ENABLE | Fcr.CLEAR_RECEIVER);
    expect(bar0.read8(DATA)).toBe(FIFO_LENGTH);
    expect(bar0.read8(LSR)).toBe(IDLE);
  });

  test('holds one byte without FIFOs', () => {
    const { device, bar0 } = opened({ ier: Ier.RECEIVED });
    bar0.write8(FCR, 0);
    device.input(bytesOf(2));
    expect(bar0.read8(IIR)).toBe(Iir.RECEIVED);
    bar0.write8(FCR, Fcr.ENABLE);
    expect(bar0.read8(DATA)).toBe(1);
  });

  test.each(TRIGGER_LEVELS.map((level, trigger) => ({ level, trigger })))(
    'interrupts at $level bytes, until there are fewer',
    ({ level, trigger }) => {
      const { device, guest, bar0 } = opened({ trigger, ier: Ier.RECEIVED });
      if (level > 1) device.input(bytesOf(level - 1));
      expect(guest.interrupts.line).toBe(false);
      device.input(bytesOf(1));
      expect(guest.interrupts.line).toBe(true);
      expect(bar0.read8(IIR)).toBe(Iir.RECEIVED | WITH_FIFOS);
      bar0.read8(DATA);
      expect(guest.interrupts.line).toBe(false);
    },
  );

  test('interrupts for less after a while, until it is read', () => {
    const { vm, device, guest, bar0 } = opened({ trigger: 3, ier: Ier.RECEIVED });
    device.input(bytesOf(3));
    expect(guest.interrupts.line).toBe(false);
    vm.advance(1);
    expect(bar0.read8(IIR)).toBe(Iir.CHARACTER_TIMEOUT | WITH_FIFOS);
    bar0.read8(DATA);
    expect(guest.interrupts.line).toBe(false);
    vm.advance(1);
    expect(guest.interrupts.line).toBe(true);
  });

  test('waits longer at a lower rate', () => {
    const { vm, device, guest, bar0 } = opened({ trigger: 3, ier: Ier.RECEIVED });
    bar0.write8(LCR, Lcr.DIVISOR_LATCH | EIGHT_BITS);
    bar0.write8(IER, 0xff);
    bar0.write8(LCR, EIGHT_BITS);
    device.input(bytesOf(3));
    vm.advance(600); // 40 bits at 3,906,250 / 0xff00 baud take 668 ms
    expect(guest.interrupts.line).toBe(false);
    vm.advance(100);
    expect(guest.interrupts.line).toBe(true);
  });

  test('does not interrupt while IER says so', () => {
    const { vm, device, guest } = opened();
    device.input(bytesOf(5));
    vm.advance(10);
    expect(guest.interrupts.line).toBe(false);
    expect(guest.takeInterrupts()).toEqual([]);
  });
});

describe('loopback', () => {
  test('receives what is sent, which does not leave the port', () => {
    const { vm, bar0, output } = opened();
    bar0.write8(MCR, READY | Mcr.LOOPBACK);
    bar0.write8(DATA, 0x55);
    expect(bar0.read8(DATA)).toBe(0x55);
    vm.advance(1);
    expect(output()).toBe('');
  });

  test('hears nothing from the far end', () => {
    const { device, bar0 } = opened();
    bar0.write8(MCR, READY | Mcr.LOOPBACK);
    device.input(bytesOf(1));
    expect(bar0.read8(LSR)).toBe(IDLE);
    bar0.write8(MCR, READY);
    expect(bar0.read8(LSR)).toBe(IDLE | Lsr.DATA_READY);
  });

  test('turns modem outputs into modem inputs', () => {
    const { bar0 } = opened();
    bar0.write8(MCR, Mcr.LOOPBACK);
    bar0.read8(MSR);
    for (const [output, input, delta] of [
      [Mcr.RTS, Msr.CTS, Msr.DELTA_CTS],
      [Mcr.DTR, Msr.DSR, Msr.DELTA_DSR],
      [Mcr.OUT2, Msr.DCD, Msr.DELTA_DCD],
    ] as const) {
      bar0.write8(MCR, Mcr.LOOPBACK | output);
      expect(bar0.read8(MSR)).toBe(input | delta);
      bar0.write8(MCR, Mcr.LOOPBACK);
      expect(bar0.read8(MSR)).toBe(delta);
    }
    bar0.write8(MCR, Mcr.LOOPBACK | Mcr.OUT1);
    expect(bar0.read8(MSR)).toBe(Msr.RI);
    bar0.write8(MCR, Mcr.LOOPBACK);
    expect(bar0.read8(MSR)).toBe(Msr.TRAILING_RI);
  });

  test('overruns the receiver, says so once, and keeps the bytes that came first', () => {
    const { guest, bar0 } = opened({ ier: Ier.LINE });
    bar0.write8(MCR, Mcr.LOOPBACK);
    for (let i = 0; i <= FIFO_LENGTH; i++) bar0.write8(DATA, i);
    expect(guest.interrupts.line).toBe(true);
    expect(bar0.read8(IIR)).toBe(Iir.LINE | WITH_FIFOS);
    expect(bar0.read8(LSR)).toBe(IDLE | Lsr.DATA_READY | Lsr.OVERRUN);
    expect(guest.interrupts.line).toBe(false);
    expect(bar0.read8(LSR)).toBe(IDLE | Lsr.DATA_READY);
    expect(bar0.read8(DATA)).toBe(0);
  });
});

describe('modem lines', () => {
  test('interrupt when the far end goes, until MSR is read', () => {
    const { device, guest, bar0 } = opened({ ier: Ier.MODEM });
    device.setCarrier(false);
    expect(bar0.read8(IIR)).toBe(Iir.MODEM | WITH_FIFOS);
    expect(bar0.read8(MSR)).toBe(Msr.DELTA_CTS | Msr.DELTA_DSR | Msr.DELTA_DCD);
    expect(guest.interrupts.line).toBe(false);
  });
});

test('identifies causes by priority', () => {
  const { device, bar0 } = opened({ ier: 0x0f });
  const id = (): number => bar0.read8(IIR) & 0x0f;
  bar0.write8(MCR, Mcr.LOOPBACK);
  for (let i = 0; i <= FIFO_LENGTH; i++) bar0.write8(DATA, i);
  bar0.write8(MCR, READY);
  device.setCarrier(false);
  expect(id()).toBe(Iir.LINE);
  bar0.read8(LSR);
  expect(id()).toBe(Iir.RECEIVED);
  bar0.write8(FCR, Fcr.ENABLE | Fcr.CLEAR_RECEIVER);
  expect(id()).toBe(Iir.TRANSMITTER_EMPTY);
  expect(id()).toBe(Iir.MODEM);
  bar0.read8(MSR);
  expect(id()).toBe(Iir.NONE);
});

test('forgets its state at a reset, but not what waits at the far end', () => {
  const { vm, device, guest, bar0, output } = opened({ ier: 0x0f });
  device.input(bytesOf(20));
  bar0.write8(DATA, 0x21);
  guest.reset('function');
  expect(guest.interrupts.line).toBe(false);
  expect(bar0.read8(IER)).toBe(0);
  expect(bar0.read8(LSR)).toBe(IDLE);
  expect(bar0.read8(MSR)).toBe(Msr.CTS | Msr.DSR | Msr.DCD);
  bar0.write8(LCR, EIGHT_BITS);
  bar0.write8(MCR, READY);
  expect(bar0.read8(DATA)).toBe(16);
  vm.advance(10);
  expect(output()).toBe('!');
});

test('goes on where a snapshot left it, in the middle of receiving', () => {
  const { vm, device, guest, bar0 } = opened({ trigger: 3, ier: Ier.RECEIVED });
  device.input(bytesOf(20));
  for (let i = 0; i < 2; i++) bar0.read8(DATA);
  const again = vm.replug(guest, new Serial16550());
  expect(again.interrupts.line).toBe(true);
  const received = Array.from({ length: 18 }, () => again.bar(0).read8(DATA));
  expect(received).toEqual([...bytesOf(20)].slice(2));
  expect(again.bar(0).read8(IER)).toBe(Ier.RECEIVED);
});

describe('configuration', () => {
  const folders: string[] = [];
  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), 's-'));
    folders.push(path);
    return path;
  };
  afterEach(() => {
    for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
  });

  const connected = (path: string): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect(path, () => resolve(socket));
      socket.on('error', reject);
    });

  test('log=FILE appends what the guest sends', () => {
    const path = join(folder(), 'log');
    writeFileSync(path, 'before ');
    const { vm, bar0 } = plug({ configuration: [`log=${path}`] });
    bar0.write8(LCR, EIGHT_BITS);
    for (const byte of Buffer.from('after')) bar0.write8(DATA, byte);
    vm.advance(1);
    expect(readFileSync(path, 'latin1')).toBe('before after');
  });

  test('socket=PATH carries bytes both ways, and is gone when the device is', async () => {
    const path = socketPath();
    const { vm, guest, bar0 } = plug({ configuration: [`socket=${path}`] });
    expect(bar0.read8(MSR) & 0xf0).toBe(0);
    guest.reset('cold'); // as QEMU does before a machine runs
    const peer = await connected(path);
    bar0.write8(LCR, EIGHT_BITS);
    bar0.write8(MCR, READY);
    peer.write('to the guest');
    let received = '';
    while (received.length < 12) {
      if (bar0.read8(LSR) & Lsr.DATA_READY) received += String.fromCharCode(bar0.read8(DATA));
      else await new Promise((resolve) => setImmediate(resolve));
    }
    expect(received).toBe('to the guest');
    expect(bar0.read8(MSR) & 0xf0).toBe(Msr.CTS | Msr.DSR | Msr.DCD);

    for (const byte of Buffer.from('from it')) bar0.write8(DATA, byte);
    vm.advance(1);
    expect(String(await next(peer, 'data'))).toBe('from it');
    const closed = next(peer, 'close');
    vm.unplug(guest);
    await closed;
    await expect(connected(path)).rejects.toThrow('ENOENT');
  });

  test.each([
    ['speed=9600', "Cannot use 'speed=9600': say log=FILE or socket=PATH"],
    ['log=', "Cannot use 'log=': say log=FILE or socket=PATH"],
    [`socket=/${'x'.repeat(120)}`, 'a socket path has 1 to 107 bytes, not 121'],
  ])('%s is refused by name', (text, message) => {
    expect(() => plug({ configuration: [text] })).toThrow(message);
  });

  test('socket=PATH is refused where something is', () => {
    const path = join(folder(), 'taken');
    writeFileSync(path, '');
    expect(() => plug({ configuration: [`socket=${path}`] })).toThrow('it exists');
  });
});

function next(socket: Socket, event: 'data' | 'close'): Promise<unknown> {
  return new Promise((resolve) => {
    socket.once(event, resolve);
    socket.resume();
  });
}

test('refuses the state of a version that it does not know, naming both', () => {
  expect(() => new Serial16550().restore({ version: 2 })).toThrow(
    new TypeError('Cannot restore Serial16550: its state has version 2, this code knows 1'),
  );
});

test('survives a hostile guest', { timeout: FUZZ_TIMEOUT }, () => {
  fuzz(() => new Serial16550(), { seed: 9, accesses: FUZZ_ACCESSES });
});
