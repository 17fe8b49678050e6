import { expect, test } from 'vitest';
import { planMachine } from '../../../src/engines/qemu/document.ts';
import { requireHvSocket } from '../../../src/engines/qemu/resources/hv-socket.ts';
import type { VirtualMachine } from '../../../src/hcs/schema/documents.ts';
import { vsockServiceId } from '../../../src/hcs/vsock-service-id.ts';
import { errorOf } from '../../compute/recording-engine.ts';

const plan = (machine: VirtualMachine): ReturnType<typeof planMachine>['hvSocket'] =>
  planMachine({ VirtualMachine: { Chipset: { Uefi: {} }, ...machine } }).hvSocket;

const services = (...ids: string[]): VirtualMachine => ({
  Devices: {
    HvSocket: {
      HvSocketConfig: { ServiceTable: Object.fromEntries(ids.map((id) => [id, {}])) },
    },
  },
});

test('a machine has sockets where its document asks for them, and no others', () => {
  expect(plan({})).toBeUndefined();
  const none = { ports: [], hasAgent: false, hasHeartbeat: false };
  expect(plan({ Devices: { HvSocket: {} } })).toEqual(none);
  expect(plan({ GuestConnection: {} })).toEqual({ ...none, hasAgent: true });
  const both = { GuestConnection: {}, Services: { Heartbeat: {} } };
  expect(plan(both)).toEqual({ ...none, hasAgent: true, hasHeartbeat: true });
  const id = vsockServiceId(5000);
  expect(plan(services(id, id.toUpperCase()))).toEqual({ ...none, ports: [5000] });
});

test.each([
  ['a service of another kind', services('0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01'), 'no vsock port'],
  [
    'the service of the guest connection',
    { ...services(vsockServiceId(0x4000_0000)), GuestConnection: {} },
    'is the service of GuestConnection',
  ],
  [
    'a saved end',
    { GuestConnection: {}, DebugOptions: { BugcheckSavedStateFileName: '/tmp/hdvkit-end' } },
    'does not let go of its sockets',
  ],
  [
    'a heartbeat of nobody',
    { Services: { Heartbeat: {} } },
    'Services.Heartbeat: the agent of the guest answers it',
  ],
] as const)('is refused %s', async (_, machine, reason) => {
  const error = await errorOf(async () => plan(machine));
  expect(error.reason).toContain(reason);
});

test('a clone is refused sockets, and told what to use instead', async () => {
  await requireHvSocket({ hvSocket: undefined }, true);
  const error = await errorOf(() =>
    requireHvSocket({ hvSocket: { ports: [], hasAgent: true, hasHeartbeat: false } }, true),
  );
  expect(error.code).toBe('ERROR_NOT_SUPPORTED');
  expect(error.reason).toContain('restore machines from a file');
});
