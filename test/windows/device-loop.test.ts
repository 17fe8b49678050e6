import { expect, test } from 'vitest';
import { LoopClock } from '../../src/device-host/loop-clock.ts';
import type { GateServer } from '../../src/ffi/gate/gate-server.ts';
import type { WindowsSystem } from '../../src/ffi/windows-system.ts';
import { DeviceLoop, type DeviceLoopOptions } from '../../src/hosts/windows/device-loop.ts';
import { ControlBlock } from '../../src/transport/control-block.ts';
import type { WorkerContext } from '../../src/transport/worker-context.ts';

const WAIT_TIMEOUT = 258;
const WAIT_FAILED = 0xffff_ffff;

/** A loop around a gate, a clock and a kernel that do what the test says. */
class Rig {
  /** What happened, in order. */
  readonly log: string[] = [];
  readonly control = new ControlBlock();
  /** Requests and doorbells that wait. */
  requests = 0;
  bells = 0;
  /** Milliseconds, as the device's clock has them. */
  now = 0;
  /** How long a request takes. */
  takesMs = 0;
  onServe: () => void = () => undefined;
  onTurn: () => void = () => undefined;
  onWait: () => number = () => WAIT_TIMEOUT;
  readonly loop: DeviceLoop;

  constructor() {
    const rig = this;
    const clock = new LoopClock();
    Object.defineProperty(clock, 'now', { get: () => rig.now });
    const server = {
      wakeEvent: 1,
      next: () => rig.requests > 0,
      nextDoorbell: () => (rig.bells > 0 ? --rig.bells : -1),
      spin: () => rig.requests > 0,
      get pending() {
        return rig.requests > 0;
      },
      prepareToSleep: () => rig.requests === 0,
      wakeUp: () => undefined,
    } as unknown as GateServer;
    const context = {
      control: this.control,
      attention: 2,
      patience: 100,
      async turn() {
        rig.log.push('turn');
        rig.onTurn();
      },
      attend: () => rig.log.push('attend'),
    } as unknown as WorkerContext<unknown>;
    const system = {
      WaitForMultipleObjects: () => {
        rig.log.push('wait');
        return rig.onWait();
      },
    } as unknown as WindowsSystem;
    const options: DeviceLoopOptions = {
      context,
      system,
      server,
      clock,
      serve: () => {
        rig.log.push('serve');
        rig.requests--;
        rig.now += rig.takesMs;
        rig.onServe();
      },
      ring: (bell) => rig.log.push(`ring ${bell} at ${rig.control.progress}`),
      command: () => undefined,
    };
    this.loop = new DeviceLoop(options);
  }

  stop(): void {
    this.control.requestStop();
  }
}

test('the event loop has its turn within a backlog of slow requests that never ends', async () => {
  const rig = new Rig();
  rig.requests = 1000;
  rig.takesMs = 1;
  rig.onTurn = () => rig.stop();
  await rig.loop.run();
  const served = rig.log.indexOf('turn');
  expect(served).toBeGreaterThan(1);
  expect(served).toBeLessThanOrEqual(7);
});

test('a backlog of quick requests is served without a turn', async () => {
  const rig = new Rig();
  rig.requests = 1000;
  rig.onTurn = () => rig.stop();
  await rig.loop.run();
  expect(rig.log.indexOf('turn')).toBeGreaterThanOrEqual(1000);
});

test('a stop whose wake was taken with other attention ends the loop without another wait', async () => {
  const rig = new Rig();
  rig.onTurn = () => rig.stop();
  await rig.loop.run();
  expect(rig.log).toEqual(['turn', 'attend']);
});

test('each doorbell counts as progress: many slow ones are not one that never returns', async () => {
  const rig = new Rig();
  rig.bells = 3;
  rig.onTurn = () => rig.stop();
  await rig.loop.run();
  const rings = rig.log.filter((line) => line.startsWith('ring'));
  expect(rings.map((line) => line.slice(0, 6))).toEqual(['ring 2', 'ring 1', 'ring 0']);
  expect(new Set(rings.map((line) => line.slice(line.indexOf('at')))).size).toBe(3);
});

test('it waits in the kernel when nothing comes, as resting, and serves what woke it', async () => {
  const rig = new Rig();
  let wasResting = false;
  rig.onWait = () => {
    wasResting = rig.control.resting;
    rig.requests = 1;
    return 0;
  };
  rig.onServe = () => rig.stop();
  await rig.loop.run();
  expect(rig.log.slice(0, 4)).toEqual(['turn', 'attend', 'wait', 'serve']);
  expect([wasResting, rig.control.resting]).toEqual([true, false]);
});

test('a wait that Windows refuses ends the worker with the reason', async () => {
  const rig = new Rig();
  rig.onWait = () => WAIT_FAILED;
  await expect(rig.loop.run()).rejects.toThrow('Cannot wait for accesses: a handle is not valid');
});
