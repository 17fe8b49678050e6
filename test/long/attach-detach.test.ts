import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VfioUserWorkerDevice } from '../../src/device-host/vfio-user-worker-device.ts';
import { ServedClient } from '../device-host/served-client.ts';
import { startMachine } from '../hosts/simulated-machine.ts';

const LONG = process.env.HDVKIT_LONG === '1';
const CYCLES = LONG ? 1000 : 6;
/** Cycles in which what is loaded once is loaded. */
const WARM_UP = 2;
const TIMEOUT = LONG ? 3_600_000 : 120_000;

const TROUBLE = '../host/trouble-device.ts';
const TROUBLE_DEVICE = 0x7001;
const IDENTITY = 0x7041_b1e0;

/** Memory that may be in use though nothing was kept: what the collector has not come to. */
const MEMORY_SLACK = 160 << 20;

interface Held {
  readonly fds: number;
  readonly threads: number;
  readonly rss: number;
}

function held(): Held {
  return {
    fds: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    rss: process.memoryUsage.rss(),
  };
}

/** Runs the cycles. What is held at the end must be what was held after the first few. */
async function repeat(cycle: () => Promise<void>): Promise<void> {
  for (let i = 0; i < WARM_UP; i++) await cycle();
  const before = held();
  for (let i = WARM_UP; i < CYCLES; i++) await cycle();
  const after = held();
  // A descriptor or two come and go with the threads of Node's own pool.
  expect(after.fds - before.fds).toBeLessThanOrEqual(2);
  expect(after.threads - before.threads).toBeLessThanOrEqual(2);
  expect(after.rss - before.rss).toBeLessThan(MEMORY_SLACK);
}

describe.runIf(process.platform === 'linux')('attaching and detaching, again and again', () => {
  test(
    'leaves nothing behind in the simulated machine, with a worker for each device',
    async () => {
      await using machine = await startMachine();
      await repeat(async () => {
        const attachment = await machine.attach(TROUBLE, 'TroubleDevice');
        expect(machine.drive(TROUBLE_DEVICE).bar(0).read32(0)).toBe(IDENTITY);
        await machine.devices.detach(attachment);
      });
      expect(machine.notices).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    'leaves nothing behind on a worker that other devices are on',
    async () => {
      await using machine = await startMachine();
      await machine.attach('../host/conformance-devices.ts', 'MsixProbe', 'one');
      await repeat(async () => {
        const attachment = await machine.attach(TROUBLE, 'TroubleDevice', 'one');
        expect(machine.drive(TROUBLE_DEVICE).bar(0).read32(0)).toBe(IDENTITY);
        await machine.devices.detach(attachment);
      });
      expect(machine.notices).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    'leaves nothing behind over vfio-user, whichever worker serves the connection',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'hdvt-'));
      try {
        let sockets = 0;
        await repeat(async () => {
          const device = await VfioUserWorkerDevice.load({
            source: { module: new URL(TROUBLE, import.meta.url), exportName: undefined },
            socketPath: () => join(folder, `${sockets++}`),
            notify: (notice) => expect(notice).toBeUndefined(),
          });
          const { socketPath } = await device.powerOn([]);
          const client = await ServedClient.connect(socketPath);
          await client.write(7, 4, 6);
          expect(await client.read(0, 0)).toBe(IDENTITY);
          client.close();
          await device.close();
        });
        expect(readdirSync(folder)).toEqual([]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
    TIMEOUT,
  );
});
