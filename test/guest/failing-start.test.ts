import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { DeviceHost } from '../../src/hdv/device-host.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { NeverStarts } from '../host/never-starts.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';

let host: LinuxTestHost;

beforeAll(async () => {
  host = await openLinuxHost();
});

afterAll(() => host.close());

test.each([
  ['worker', new URL('../host/never-starts.ts', import.meta.url)],
  ['inline', new NeverStarts()],
])(
  'a device (%s) that fails in start fails the start of its machine, with its reason',
  async (_placement, device) => {
    await using system = await ComputeSystem.create(
      `hdvkit-${randomUUID()}`,
      host.document() as Parameters<typeof ComputeSystem.create>[1],
      { core: host.binding.computeCore },
    );
    const notices: string[] = [];
    await using devices = await DeviceHost.create(system, {
      binding: host.binding.hdv,
      report: ({ type }) => notices.push(type),
    });
    await devices.attach(device as URL);
    const error = await errorOf(() => system.start());
    expect(error.reason).toMatch(/failed: .*NeverStarts.*: it is not plugged in/);
    await expect.poll(() => notices).toEqual(['failed']);
  },
);
