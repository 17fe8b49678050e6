import * as hcs from 'hdvkit/hcs';
import * as hdv from 'hdvkit/hdv';
import { afterAll, expect, test } from 'vitest';
import type { SimulatedHost } from '../../src/hosts/simulated/host.ts';
import { useHost } from '../../src/index.ts';
import { GuestPlatform } from '../../src/testing.ts';
import { RecordingDevice } from '../device-host/recording-device.ts';

const CLASS = 'b2d4f6a8-1c3e-4a5b-9d7f-6e8c0a2b4d60';
const INSTANCE = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01';

const host = useHost('simulated') as SimulatedHost;

afterAll(() => host.close());

/** Runs one HCS call to its end, as a C program would. */
async function completed(start: (operation: hcs.HCS_OPERATION) => void): Promise<string | null> {
  const operation = hcs.HcsCreateOperation(null, null);
  try {
    start(operation);
    return await hcs.HcsWaitForOperationResult(operation, hcs.INFINITE);
  } finally {
    hcs.HcsCloseOperation(operation);
  }
}

test('all eighteen functions are exported under their names', () => {
  expect(hdv.VM_DEVICE_HOST_FUNCTIONS).toHaveLength(18);
  const exported: Record<string, unknown> = { ...hdv };
  for (const name of hdv.VM_DEVICE_HOST_FUNCTIONS) expect(exported[name]).toBeTypeOf('function');
});

test('a device goes through its life by the functions alone, in the documented order', async () => {
  const document = JSON.stringify({
    SchemaVersion: { Major: 2, Minor: 1 },
    VirtualMachine: {
      ComputeTopology: { Memory: { SizeInMB: 4 } },
      Devices: {
        FlexibleIov: {
          [INSTANCE]: { EmulatorId: CLASS, HostingModel: 'External', Configuration: ['port=1'] },
        },
      },
    },
  });
  let system = 0n as hcs.HCS_SYSTEM;
  await completed((operation) => {
    system = hcs.HcsCreateComputeSystem('by-functions', document, operation, null);
  });
  const deviceHost = await hdv.HdvInitializeDeviceHost(system);
  const read = () => hdv.HdvReadGuestMemory(device, 0x1000, 4, Buffer.alloc(4));
  const callbacks = new RecordingDevice();
  const device = await hdv.HdvCreateDeviceInstance(
    deviceHost,
    hdv.HDV_DEVICE_TYPE.HdvDeviceTypePCI,
    CLASS,
    INSTANCE,
    callbacks,
    null,
  );
  expect(callbacks.calls).toEqual([]);
  expect(read).toThrow('is not in a machine');
  await completed((operation) => hcs.HcsStartComputeSystem(system, operation, null));
  expect(callbacks.calls.filter((call) => call !== 'getDetails')).toEqual([
    'initialize',
    'setConfiguration port=1',
    'start',
  ]);
  expect(callbacks.calls.indexOf('getDetails')).toBe(2);

  const machine = host.machineOf('by-functions');
  if (machine === undefined) throw new Error('The machine has ended');
  const [driver] = new GuestPlatform(machine).enumerate();
  driver?.bar(0).write32(8, 0xcafe);
  expect(callbacks.storage.readUInt32LE(8)).toBe(0xcafe);

  hdv.HdvWriteGuestMemory(device, 0x1000, 4, Buffer.from('dma!'));
  const aperture = hdv.HdvCreateGuestMemoryAperture(device, 0x1000, 4096, false);
  expect(aperture.toString('latin1', 0, 4)).toBe('dma!');
  hdv.HdvDestroyGuestMemoryAperture(device, aperture);
  hdv.HdvDeliverGuestInterrupt(device, 0xfee0_0000, 0x31);
  expect(machine.interrupts.take()).toMatchObject([{ address: 0xfee0_0000, data: 0x31 }]);

  await completed((operation) => hcs.HcsTerminateComputeSystem(system, operation, null));
  expect(callbacks.calls.slice(-2)).toEqual(['stop', 'teardown']);
  expect(read).toThrow('is not in a machine');
  await hdv.HdvTeardownDeviceHost(deviceHost);
  hcs.HcsCloseComputeSystem(system);
});
