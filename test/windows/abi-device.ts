/** A worker that serves a gate with a device that is memory and tells what was done to it. */
import { parentPort, workerData } from 'node:worker_threads';
import type { GateHandle } from '../../src/ffi/gate/gate-memory.ts';
import { GateServer } from '../../src/ffi/gate/gate-server.ts';
import { windowsSystem } from '../../src/ffi/windows-system.ts';
import { GateRequests } from '../../src/hosts/windows/gate-requests.ts';
import type { PciDeviceCallbacks } from '../../src/pci/device-callbacks.ts';

/** What the worker is started with. */
export interface AbiDeviceData {
  readonly handle: GateHandle;
  readonly system: string | undefined;
  /** Word 0: 1: return. */
  readonly stop: SharedArrayBuffer;
}

const { handle, system: path, stop } = workerData as AbiDeviceData;
const ram = Buffer.alloc(0x4000);
const config = new Uint32Array(64);
config[0] = 0x5678_1234;
config[1] = 0x0010_0000;

const device: PciDeviceCallbacks = {
  initialize: () => undefined,
  teardown: () => undefined,
  setConfiguration(values) {
    if (values.includes('no')) throw new RangeError('Cannot be configured with no');
  },
  getDetails: () => ({
    pnpId: {
      vendorId: 0x1234,
      deviceId: 0x5678,
      revisionId: 3,
      progIf: 4,
      subClass: 5,
      baseClass: 6,
      subVendorId: 0x789a,
      subSystemId: 0xbcde,
    },
    // 4 KiB at slot 0; 16 KiB of 64-bit prefetchable memory at slots 2 and 3.
    probedBars: [0xffff_f000, 0, 0xffff_c00c, 0xffff_ffff, 0, 0],
  }),
  start: () => undefined,
  stop: () => undefined,
  readConfigSpace: (offset) => config[offset >>> 2] ?? 0,
  writeConfigSpace(offset, value) {
    config[offset >>> 2] = value;
  },
  readInterceptedMemory: (_bar, offset, width) => ram.readUIntLE(offset, width),
  writeInterceptedMemory(_bar, offset, width, value) {
    ram.writeUIntLE(value >>> 0, offset, width);
  },
};

const system = windowsSystem(path);
const server = new GateServer(system, handle);
const requests = new GateRequests({ server, device, refused: () => undefined });
const word = new Int32Array(stop);
parentPort?.postMessage('ready');
while (Atomics.load(word, 0) === 0) {
  while (server.next()) requests.serve();
  if (server.spin()) continue;
  if (server.prepareToSleep()) system.WaitForSingleObject(server.wakeEvent, 100);
  server.wakeUp();
}
