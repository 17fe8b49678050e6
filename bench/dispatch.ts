/** What does a guest access of a BAR cost from the host's callback to the device and back, in one process? */
import { type MmioRegion, mmio, PciDevice, registerMap, u32, type Width } from 'hdvkit';
import { ProgressDisplay } from '../src/cli/progress.ts';
import type { PciHost } from '../src/pci/host.ts';
import { PciFunction } from '../src/pci/pci-function.ts';
import { type Measurement, print } from './report.ts';

/** A round is short, so that most rounds are not interrupted by the system. */
const ACCESSES = 50_000;
const ROUNDS = 201;
/** Registers of each device; every eighth one has hooks. */
const REGISTERS = 32;

const host: PciHost = {
  capabilities: { commandRegister: 'forwarded', intx: false },
  memory: { read: () => false, write: () => false, aperture: () => undefined },
  clock: { now: 0, after: () => ({ cancel: () => {} }) },
  deliverInterrupt: () => {},
  setInterruptLine: () => {},
  report: (notice) => {
    throw new Error(`Cannot measure: the device reported ${JSON.stringify(notice)}`);
  },
};

function start(device: PciDevice): PciFunction {
  const fn = new PciFunction(device);
  fn.connect(host);
  fn.initialize();
  fn.setConfiguration([]);
  fn.start();
  fn.writeConfigSpace(0x04, 0x2);
  return fn;
}

/** A class of its own, with a map of its own. */
function mapDevice(seed: number): PciDevice {
  const rows = Array.from({ length: REGISTERS }, (_, i) => [`R${seed}_${i}`, u32(i * 4)] as const);
  const map = registerMap(Object.fromEntries(rows));
  let written = seed;
  const hooks = Object.fromEntries(
    rows
      .filter((_, i) => i % 8 === 7)
      .map(([name]) => [
        name,
        {
          read: () => written,
          write: (value: number) => {
            written = value;
          },
        },
      ]),
  );
  class MapDevice extends PciDevice {
    override readonly identity = { vendorId: 0x1234, deviceId: seed, classCode: 0xff0000 };
    readonly regs = map.bind(hooks);
    override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
  }
  return new MapDevice();
}

/** Code of its own, so that the engine cannot share what it learns: as with regions from different authors. */
function handWrittenDevice(seed: number): PciDevice {
  const Region = new Function(`return class Region${seed} {
    size = ${REGISTERS * 4};
    state${seed} = new Uint32Array(${REGISTERS});
    written = ${seed};
    read(offset, width) {
      const index = offset >>> 2;
      return (index & 7) === 7 ? this.written : this.state${seed}[index];
    }
    write(offset, width, value) {
      const index = offset >>> 2;
      if ((index & 7) === 7) this.written = value;
      else this.state${seed}[index] = value;
    }
  }`)() as new () => MmioRegion;
  class HandWrittenDevice extends PciDevice {
    override readonly identity = { vendorId: 0x1234, deviceId: seed, classCode: 0xff0000 };
    override readonly bars = { 0: mmio(0x1000, { 0: new Region() }) };
  }
  return new HandWrittenDevice();
}

/** Offsets in an order that nothing can predict; half of the accesses write. */
const pattern = Uint32Array.from({ length: 4096 }, () => {
  const offset = Math.floor(Math.random() * REGISTERS) * 4;
  return offset | (Math.random() < 0.5 ? 0x8000_0000 : 0);
});

let sink = 0;

function round(functions: readonly PciFunction[]): number {
  const width: Width = 4;
  const devices = functions.length;
  let device = 0;
  const started = process.hrtime.bigint();
  for (let i = 0; i < ACCESSES; i++) {
    const access = pattern[i & 4095]!;
    const fn = functions[device]!;
    device = device + 1 === devices ? 0 : device + 1;
    const offset = access & 0xfff;
    if (access > 0x7fff_ffff) fn.writeInterceptedMemory(0, offset, width, i);
    else sink ^= fn.readInterceptedMemory(0, offset, width);
  }
  return Number(process.hrtime.bigint() - started) / ACCESSES;
}

/** The same accesses to a bare array: what this processor can do at this minute. */
function roundOfArray(words: Uint32Array): number {
  const started = process.hrtime.bigint();
  for (let i = 0; i < ACCESSES; i++) {
    const access = pattern[i & 4095]!;
    if (access > 0x7fff_ffff) words[(access & 0xfff) >>> 2] = i;
    else sink ^= words[(access & 0xfff) >>> 2]!;
  }
  return Number(process.hrtime.bigint() - started) / ACCESSES;
}

const MEASUREMENTS = 5;
const display = new ProgressDisplay();
let done = 0;

function measureRounds(name: string, once: () => number): Measurement {
  display.update({ step: 'access registers', done: done++, total: MEASUREMENTS });
  for (let i = 0; i < 60; i++) once();
  return { name, unit: 'ns', samples: Array.from({ length: ROUNDS }, once) };
}

const measure = (name: string, functions: readonly PciFunction[]): Measurement =>
  measureRounds(name, () => round(functions));

const eight = [1, 2, 3, 4, 5, 6, 7, 8];
const words = new Uint32Array(REGISTERS);
const measurements = [
  measureRounds('typed array without any device, for scale', () => roundOfArray(words)),
  measure('register map, one device class', [start(mapDevice(1))]),
  measure(
    'register map, eight device classes',
    eight.map((seed) => start(mapDevice(seed))),
  ),
  measure('hand-written region, one device class', [start(handWrittenDevice(1))]),
  measure(
    'hand-written region, eight device classes',
    eight.map((seed) => start(handWrittenDevice(seed))),
  ),
];
display.finish();
print({
  title: 'Time per BAR access, random over 32 registers of which 4 have hooks, half of them writes',
  measurements,
});
if (sink === 0.5) console.log(sink);
