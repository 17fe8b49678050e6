/** What does an access cost a program in a real Linux guest, and how long does the guest take to boot? */
import { EDU, Status, Vector } from '../sample-devices/edu.ts';
import { GuestAgent } from '../src/engines/qemu/guest-agent.ts';
import { LinuxGuest } from '../src/engines/qemu/linux-guest.ts';
import { ComputeSystem } from '../src/hcs/compute-system.ts';
import { DeviceHost } from '../src/hdv/device-host.ts';
import { useHost } from '../src/hosts/index.ts';
import { print } from './report.ts';

const ROUNDS = 5;
const READS = 4000;
const DOORBELLS = 1000;
const EDU_IDS = [0x1234, 0x11e8] as const;

const bootTimes: number[] = [];
const readP50: number[] = [];
const readP99: number[] = [];
const doorbellP50: number[] = [];
const doorbellP99: number[] = [];

const host = useHost('linux');
for (let round = 0; round < ROUNDS; round++) {
  using guest = await LinuxGuest.prepare({ memory: 256 });
  await using system = await ComputeSystem.create(
    `bench-guest-${process.pid}-${round}`,
    guest.document,
  );
  await using devices = await DeviceHost.create(system);
  await devices.attach(new URL('../sample-devices/edu.ts', import.meta.url), {
    export: 'EduDevice',
  });
  const started = performance.now();
  await system.start();
  await using agent = await GuestAgent.connect(guest.agentPath);
  bootTimes.push((performance.now() - started) / 1000);

  const bdf = await agent.waitForFunction(...EDU_IDS);
  await agent.enable(bdf);
  await agent.enableInterrupts(bdf, 'msix', 2);
  await agent.measureReads(bdf, 0, EDU.offsets.ID, 4, 500);
  const reads = await agent.measureReads(bdf, 0, EDU.offsets.ID, 4, READS);
  readP50.push(reads.p50 / 1000);
  readP99.push(reads.p99 / 1000);
  await agent.writeBar(bdf, 0, EDU.offsets.STATUS, 4, Status.IRQ_WHEN_DONE);
  const rings = await agent.measureDoorbell(
    bdf,
    0,
    EDU.offsets.FACTORIAL,
    4,
    1,
    Vector.FACTORIAL,
    DOORBELLS,
  );
  doorbellP50.push(rings.p50 / 1000);
  doorbellP99.push(rings.p99 / 1000);
}
await host.close();

print({
  title:
    'What does an access cost in a real Linux guest (QEMU, TCG), and how long does the guest take to boot?',
  measurements: [
    { name: 'start of the machine to first answer of the guest', unit: 's', samples: bootTimes },
    { name: 'register read round trip, p50', unit: 'µs', samples: readP50 },
    { name: 'register read round trip, p99', unit: 'µs', samples: readP99 },
    { name: 'doorbell write to interrupt message, p50', unit: 'µs', samples: doorbellP50 },
    { name: 'doorbell write to interrupt message, p99', unit: 'µs', samples: doorbellP99 },
  ],
});
