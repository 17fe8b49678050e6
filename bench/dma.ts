/**
 * How fast does a device reach guest memory, against memcpy?
 *
 * By an aperture and by copies, both ways, in blocks of 64 B to 1 MiB; on the simulated machine, and where a vfio-user
 * client has lent a file in memory. memcpy is `Buffer.copy` between two plain buffers of the same size. Every block begins
 * at a page, as guest memory does, and is elsewhere in each round: where blocks are decides a third of the rate of 4 KiB.
 * Every way copies in every round, in turns; ratios are of one round.
 */
import { PciDevice } from 'hdvkit';
import { SimulatedVm } from 'hdvkit/testing';
import koffi from 'koffi';
import { CleanUp } from '../src/cli/clean-up.ts';
import { remark } from '../src/cli/terminal.ts';
import { closeFd, createMemoryFile } from '../src/ffi/descriptors.ts';
import { socketPair } from '../src/ffi/unix-socket.ts';
import { VfioUserClient } from '../src/vfio-user/client.ts';
import { type DmaMemory, Region, type VfioUserPort } from '../src/vfio-user/device.ts';
import { VfioUserServer } from '../src/vfio-user/server.ts';
import { count, eachRound, type Measurement, median, print, ratio } from './report.ts';

const ROUNDS = count('--rounds', 15);
const KIB = 1024;
const PAGE = 4 * KIB;
const SIZES = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, KIB * KIB];
/** Bytes in a batch between two looks at the clock, at least; never more than 10,000 copies. */
const BATCH = 4 * KIB * KIB;
const BATCHES = 5;
const GUEST_MEMORY = 16 * KIB * KIB;
const GPA = 4 * KIB * KIB;
/** Pages from the block of one round to that of the next. */
const PLACES = 37;

/** A device whose memory is used from outside. */
class Borrowed extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xd3a0, classCode: 0xff0000 };
  override readonly bars = {};
}

/** One way to copy a block of the size that it was made for. */
interface Way {
  readonly name: string;
  copy(): void;
}

/** Plain memory that begins at a page. */
function block(size: number, value: number): Buffer {
  const memory = Buffer.alloc(size + PAGE, value);
  const start = (PAGE - Number(koffi.address(memory) % BigInt(PAGE))) % PAGE;
  return memory.subarray(start, start + size);
}

/** Both ways through an aperture, and by copies. */
function waysOf(
  [name, memory]: readonly [string, DmaMemory],
  size: number,
  gpa: number,
  cleanUp: CleanUp,
): Way[] {
  const local = block(size, 1);
  const window = memory.aperture(gpa, size);
  if (window === undefined) throw new Error(`Cannot map ${size} bytes of ${name}`);
  cleanUp.use(window);
  const { bytes } = window;
  const check = (done: boolean): void => {
    if (!done) throw new Error(`Cannot reach ${size} bytes of ${name}`);
  };
  return [
    { name: `aperture, ${name}, from the guest`, copy: () => bytes.copy(local) },
    { name: `aperture, ${name}, to the guest`, copy: () => local.copy(bytes) },
    { name: `memory.read, ${name}`, copy: () => check(memory.read(gpa, local)) },
    { name: `memory.write, ${name}`, copy: () => check(memory.write(gpa, local)) },
  ];
}

function memcpy(size: number): Way {
  const [from, to] = [block(size, 1), block(size, 2)];
  return { name: 'memcpy', copy: () => from.copy(to) };
}

function simulated(): DmaMemory {
  const vm = new SimulatedVm({ memory: GUEST_MEMORY });
  const device = new Borrowed();
  vm.plug(device);
  return device.memory;
}

/** Memory that a client has lent, as QEMU lends a guest's. */
function lent(cleanUp: CleanUp): DmaMemory {
  const [mine, theirs] = socketPair();
  let port: VfioUserPort | undefined;
  const server = new VfioUserServer({
    fd: theirs,
    device: (given) => {
      port = given;
      return {
        regions: Array.from({ length: Region.COUNT }, () => ({ size: 0 })),
        irqCounts: [0, 0, 0, 0, 0],
        readRegion: () => 0,
        writeRegion: () => undefined,
        reset: () => undefined,
        disconnected: () => undefined,
      };
    },
  });
  cleanUp.add(() => server.close());
  const client = new VfioUserClient(mine, { pump: () => server.processReadable() });
  cleanUp.add(() => client.close());
  client.negotiate();
  const file = createMemoryFile('bench', GUEST_MEMORY);
  client.mapMemory(0, GUEST_MEMORY, file);
  closeFd(file);
  if (port === undefined) throw new Error('Cannot reach the memory: the server made no device');
  return port.memory;
}

/** GB per second, the median of a few batches. */
function rate({ copy }: Way, size: number): number {
  const copies = Math.min(10_000, Math.ceil(BATCH / size));
  const rates: number[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const started = process.hrtime.bigint();
    for (let i = 0; i < copies; i++) copy();
    rates.push((copies * size) / Number(process.hrtime.bigint() - started));
  }
  return median(rates);
}

function label(size: number): string {
  if (size < KIB) return `${size} B`;
  return size < KIB * KIB ? `${size / KIB} KiB` : `${size / KIB / KIB} MiB`;
}

async function main(): Promise<void> {
  await using cleanUp = new CleanUp();
  const memories: [string, DmaMemory][] = [['simulated', simulated()]];
  if (process.platform === 'linux') memories.push(['vfio-user', lent(cleanUp)]);
  else remark(`Without vfio-user, which needs Linux and not ${process.platform}`);
  const measurements: Measurement[] = [];
  const ratios: Measurement[] = [];
  const bySize = SIZES.map((size) => ({ size, rates: new Map<string, number[]>() }));
  await eachRound(
    'copy',
    ROUNDS,
    (round, counts) => {
      for (const { size, rates } of bySize) {
        const gpa = GPA + ((round * PLACES * PAGE) % (GUEST_MEMORY / 2));
        const ways = [
          memcpy(size),
          ...memories.flatMap((memory) => waysOf(memory, size, gpa, cleanUp)),
        ];
        for (const { name } of ways) if (!rates.has(name)) rates.set(name, []);
        // Each way follows another one in the next round, as the first finds a colder cache.
        for (let i = 0; i < ways.length; i++) {
          const way = ways[(i + round + 1) % ways.length]!;
          const measured = rate(way, size);
          if (counts) rates.get(way.name)?.push(measured);
        }
      }
    },
    { signal: cleanUp.signal },
  );
  for (const { size, rates } of bySize) {
    const xLabel = label(size);
    const reference = rates.get('memcpy');
    for (const [name, samples] of rates) {
      const place = { series: name, x: size, xLabel };
      measurements.push({ name: `${name}, ${xLabel}`, unit: 'GB/s', samples, ...place });
      if (name === 'memcpy') continue;
      for (const one of ratio(`${name} to memcpy, ${xLabel}`, samples, reference)) {
        ratios.push({ ...one, ...place });
      }
    }
  }
  print({
    title: 'How fast does a device reach guest memory, against memcpy?',
    x: 'block size',
    measurements: [...measurements, ...ratios],
  });
}

await main();
