import { setTimeout as delay } from 'node:timers/promises';
import { PAGE_SIZE, reserve, view } from '../../src/ffi/memory.ts';
import {
  type BootstrapTask,
  runWorker,
  type WorkerContext,
} from '../../src/transport/worker-context.ts';

/** What the tests ask of a worker that serves no device. */
export interface FixtureData {
  readonly before?: 'throw' | 'return' | 'exit' | 'turn';
}

/** A loop as a device worker has it, without a device. */
export const run = (task: BootstrapTask): Promise<void> =>
  runWorker<FixtureData>(task, async (context) => {
    if (context.data.before === 'throw')
      throw new RangeError('Cannot begin', { cause: new Error('no reason') });
    if (context.data.before === 'exit') process.exit(7);
    if (context.data.before === 'return') return;
    if (context.data.before === 'turn') {
      context.ready(await countTurns(context));
      return;
    }
    context.ready({ pid: process.pid });
    while (!context.control.stopRequested) {
      context.serveCommands((method, argument) => {
        switch (method) {
          case 'echo':
            return argument;
          case 'throw':
            throw Object.assign(new TypeError('Cannot do this'), { code: 'E_TEST' });
          case 'notify':
            context.notify(argument);
            return undefined;
          case 'log':
            console.log(argument);
            return undefined;
          case 'loop':
            for (;;) context.control.advance();
          case 'view': {
            const at = reserve(PAGE_SIZE);
            for (;;) {
              context.control.protect(() => view(at, PAGE_SIZE));
              context.control.advance();
            }
          }
          case 'exit':
            return process.exit(3);
          case 'fill': {
            const hoard: unknown[] = [];
            for (;;) hoard.push(new Array(1000).fill(hoard.length));
          }
          case 'late':
            setImmediate(() => {
              throw new Error('thrown late');
            });
            return undefined;
          default:
            throw new Error(`no ${method}`);
        }
      });
      context.control.advance();
      await delay(1);
    }
  });

/** In how many of twenty turns, one right after the other, the event loop ran what was due. */
async function countTurns(context: WorkerContext<unknown>): Promise<number> {
  let ran = 0;
  for (let turn = 1; turn <= 20; turn++) {
    setImmediate(() => {
      ran++;
    });
    await context.turn();
    if (ran < turn) break;
  }
  return ran;
}
