import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EngineDevice, EngineExit, EngineSystem } from '../../../src/compute/engine.ts';
import { SimulatedEngine } from '../../../src/engines/simulated/engine.ts';
import type { FunctionConnection } from '../../../src/engines/simulated/function-connection.ts';
import { InterruptLine } from '../../../src/engines/simulated/interrupts.ts';
import { RecordingDevice } from '../../device-host/recording-device.ts';

let engine: SimulatedEngine;
let system: EngineSystem;
let exits: EngineExit[];
let events: string[];

beforeEach(async () => {
  engine = new SimulatedEngine();
  exits = [];
  events = [];
  system = await engine.create({
    id: 'vm',
    runtimeId: '00000000-0000-0000-0000-000000000001',
    document: memory(8),
    exited: (exit) => exits.push(exit),
    notify: (event) => events.push(`${event.type} ${event.document}`),
  });
});

afterEach(() => system.terminate());

function memory(megabytes: unknown): Record<string, unknown> {
  return { VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: megabytes } } } };
}

/** A device as an engine gets it, with a record of what is done to it. */
function device(instanceId: string, log: string[]): EngineDevice {
  const callbacks = new RecordingDevice();
  const connection: FunctionConnection = {
    kind: 'function',
    function: callbacks,
    line: new InterruptLine(),
    start: () => log.push('start'),
    stop: () => log.push('stop'),
    onDisconnect: undefined,
  };
  return {
    instanceId,
    configuration: ['a'],
    endpoint: {
      powerOn: async (configuration) => {
        log.push(`powerOn ${configuration.join()}`);
        return connection;
      },
      powerOff: async () => {
        log.push('powerOff');
      },
    },
  };
}

function machine() {
  const found = engine.machineOf('vm');
  if (found === undefined) throw new Error('The machine has ended');
  return found;
}

describe('documents', () => {
  test('memory is as large as the document says', async () => {
    expect(machine().ram.size).toBe(8 * 1024 * 1024);
    expect(await system.properties(['Memory'])).toMatchObject({
      Memory: { VirtualMachineMemory: { AssignedMemory: 2048 } },
    });
    expect(await system.properties(['Statistics'])).toEqual({});
  });

  test.each([
    [{ Container: {} }, 'E_NOTIMPL', 'VirtualMachine'],
    [
      { VirtualMachine: { Chipset: { LinuxKernelDirect: {} } } },
      'E_NOTIMPL',
      '$.VirtualMachine.Chipset.LinuxKernelDirect',
    ],
    [{ VirtualMachine: { Devices: { Scsi: {} } } }, 'E_NOTIMPL', '$.VirtualMachine.Devices.Scsi'],
    [memory(0), 'E_INVALIDARG', '$.VirtualMachine.ComputeTopology.Memory.SizeInMB is 0'],
    [memory(1.5), 'E_INVALIDARG', '$.VirtualMachine.ComputeTopology.Memory.SizeInMB is 1.5'],
  ])('%j is refused by its path', (document, code, path) => {
    expect(() => engine.check(document)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(path) }),
    );
  });

  test('what a machine without firmware can honour is accepted', () => {
    engine.check({
      SchemaVersion: { Major: 2, Minor: 1 },
      VirtualMachine: {
        Chipset: { Uefi: {} },
        ComputeTopology: { Memory: { SizeInMB: 64 }, Processor: { Count: 2 } },
        Devices: { FlexibleIov: {} },
        Services: { Shutdown: {} },
      },
    });
  });
});

describe('devices', () => {
  test('are powered on in order, then started together', async () => {
    const log: string[] = [];
    await system.start([device('a', log), device('b', log)]);
    expect(log).toEqual(['powerOn a', 'powerOn a', 'start', 'start']);
    expect(machine().bus.slots.map((slot) => slot.device)).toEqual([0, 1]);
  });

  test('that are added to a paused machine start when it resumes', async () => {
    const log: string[] = [];
    await system.start([]);
    await system.pause();
    await system.addDevice(device('a', log));
    expect(log).toEqual(['powerOn a']);
    await system.resume();
    expect(log).toEqual(['powerOn a', 'start']);
  });

  test('that do not start again hold nothing else back', async () => {
    const log: string[] = [];
    const failing = device('a', log);
    const connection = (await failing.endpoint.powerOn([])) as FunctionConnection;
    await system.start([failing, device('b', log)]);
    await system.pause();
    connection.start = () => {
      throw new Error('it has failed');
    };
    log.length = 0;
    await system.resume();
    expect([log, machine().isPaused]).toEqual([['start'], false]);
  });

  test('that are removed are stopped before they are powered off', async () => {
    const log: string[] = [];
    await system.start([device('a', log)]);
    await system.removeDevice('a');
    expect(log.slice(2)).toEqual(['stop', 'powerOff']);
    expect(machine().bus.slots).toEqual([]);
    await expect(system.removeDevice('a')).rejects.toMatchObject({ code: 'ERROR_NOT_FOUND' });
  });

  test('whose endpoint offers no function are powered off again', async () => {
    const log: string[] = [];
    const { endpoint, ...rest } = device('a', log);
    const strange = { ...endpoint, powerOn: async () => ({ kind: 'vfio-user' }) };
    await expect(system.addDevice({ ...rest, endpoint: strange })).rejects.toThrow(
      'its device host offers no function in this process',
    );
    expect(log).toEqual(['powerOff']);
  });
});

describe('the end', () => {
  test('by terminate leaves nothing, and is told once', async () => {
    const log: string[] = [];
    await system.start([device('a', log)]);
    const { ram } = machine();
    const aperture = ram.aperture(0, 16);
    await system.terminate();
    await system.terminate();
    expect(exits).toEqual([{ exitType: 'ForcedExit', status: 0 }]);
    expect(log.slice(2)).toEqual(['stop', 'powerOff']);
    expect(engine.machineOf('vm')).toBeUndefined();
    expect(ram.apertureCount).toBe(0);
    expect(aperture?.bytes).toEqual(Buffer.alloc(16));
  });

  test('comes whatever devices do about it', async () => {
    const { endpoint, ...rest } = device('a', []);
    const refusing = { ...endpoint, powerOff: () => Promise.reject(new Error('not now')) };
    await system.start([{ ...rest, endpoint: refusing }]);
    await system.terminate();
    expect(exits).toEqual([{ exitType: 'ForcedExit', status: 0 }]);
  });

  test('by the guest, which was asked to shut down', async () => {
    await system.start([]);
    await expect(system.shutDown({ type: 'Shutdown', reason: undefined })).rejects.toThrow(
      'no guest program listens',
    );
    machine().onShutDown = () => machine().powerOff();
    await system.shutDown({ type: 'Shutdown', reason: undefined });
    expect(exits).toEqual([{ exitType: 'GracefulExit', status: 0 }]);
  });

  test('by a reset of the guest, where the document says so and nowhere else', async () => {
    await system.start([]);
    const reboot = () => system.shutDown({ type: 'Reboot', reason: undefined });
    await expect(reboot()).rejects.toThrow('onReboot');
    machine().onReboot = () => machine().reset();
    await reboot();
    expect(exits).toEqual([]);
    const document = { VirtualMachine: { StopOnReset: true } };
    const other = await engine.create({
      id: 'other',
      runtimeId: '00000000-0000-0000-0000-000000000002',
      document,
      exited: (exit) => exits.push(exit),
      notify: () => {},
    });
    await other.start([]);
    engine.machineOf('other')?.reset();
    expect(exits).toEqual([{ exitType: 'GracefulExit', status: 0 }]);
  });

  test('by the guest, also where it is terminated while its devices are let go', async () => {
    let off = (): void => {};
    const { endpoint, ...rest } = device('a', []);
    const slow = { ...endpoint, powerOff: () => new Promise<void>((resolve) => (off = resolve)) };
    await system.start([{ ...rest, endpoint: slow }]);
    machine().powerOff();
    const terminated = system.terminate();
    off();
    await terminated;
    expect(exits).toEqual([{ exitType: 'GracefulExit', status: 0 }]);
  });

  test('by a crash, which is told before the exit', async () => {
    await system.start([]);
    machine().crash('out of cheese');
    expect(events).toEqual(['crashed {"SystemId":"vm","CrashLog":"out of cheese"}']);
    expect(exits).toMatchObject([{ exitType: 'UnexpectedExit', detail: 'out of cheese' }]);
  });
});

describe('a non-maskable interrupt', () => {
  test('goes to the guest program that handles it', async () => {
    let interrupts = 0;
    machine().onNonMaskableInterrupt = () => interrupts++;
    await system.crash();
    expect(interrupts).toBe(1);
    expect(exits).toEqual([]);
  });

  test('crashes a machine whose guest programs handle none', async () => {
    await system.crash();
    expect(events).toEqual([
      'crashed {"SystemId":"vm","CrashLog":"Non-maskable interrupt, which no guest program handles"}',
    ]);
    await system.terminate();
    expect(exits).toMatchObject([{ exitType: 'UnexpectedExit' }]);
  });
});
