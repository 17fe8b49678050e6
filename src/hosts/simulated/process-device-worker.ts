import { GuestRam } from '../../engines/simulated/guest-ram.ts';
import type { SharedMachine } from '../../engines/simulated/machine.ts';
import { MachineSignals } from '../../engines/simulated/machine-signals.ts';
import { SlotChannel } from '../../transport/slot/slot-channel.ts';
import { serveSlots } from '../../transport/slot/slot-loop.ts';
import { SlotResponder } from '../../transport/slot/slot-responder.ts';
import { type BootstrapTask, runWorker } from '../../transport/worker-context.ts';
import { EventInterrupts } from './event-interrupts.ts';
import { ProcessFunction } from './process-function.ts';
import type { ProcessShape } from './process-shape.ts';

/** What the worker of a device of another process is started with. */
export interface ProcessDeviceData {
  readonly socketPath: string;
  readonly limitMs: number;
  readonly channel: SharedArrayBuffer;
  readonly machine: SharedMachine;
  /** Number of the interrupt line in the machine. */
  readonly line: number;
  /** Memory of {@link EventInterrupts}: connection and eventfds, which are main's. */
  readonly events: SharedArrayBuffer;
  /** Wait group for the eventfds; main's. */
  readonly group: number;
}

/** What the worker says when the device is connected. */
export interface ProcessDeviceReady {
  readonly shape: ProcessShape;
}

/** What the worker reports by itself: the device is not there any more, and why. */
export interface ProcessDeviceNotice {
  readonly reason: string;
}

/** Entry of the worker that asks a device of another process, in the place of the device's own. */
export const run = (task: BootstrapTask): Promise<void> =>
  runWorker<ProcessDeviceData>(task, async (context) => {
    const { control, data } = context;
    const { machine } = data;
    const channel = new SlotChannel(data.channel);
    const fn = ProcessFunction.connect({
      socketPath: data.socketPath,
      limitMs: data.limitMs,
      ram: new GuestRam(machine.ram, machine.readOnly),
      signals: new MachineSignals(machine.signals),
      line: data.line,
      events: new EventInterrupts(data.events),
      group: data.group,
    });
    context.ready({ shape: fn.shape } satisfies ProcessDeviceReady);
    let isTold = false;
    await serveSlots({
      responder: new SlotResponder(channel),
      target: fn,
      over: () => {
        if (fn.gone !== undefined && !isTold) {
          isTold = true;
          context.notify({ reason: fn.gone } satisfies ProcessDeviceNotice);
        }
        return control.stopRequested;
      },
      turn: () => context.turn(),
      called: () => context.attend(() => undefined),
      resting: () => {},
    });
    fn.leave();
  });
