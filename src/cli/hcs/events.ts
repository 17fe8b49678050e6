import { setTimeout as delay } from 'node:timers/promises';
import { ComputeSystem } from '../../hcs/compute-system.ts';
import { GENERIC_ALL, HCS_EVENT_OPTIONS, HCS_EVENT_TYPE } from '../../hcs/core/constants.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { isGone } from '../../hcs/is-gone.ts';
import type { State } from '../../hcs/schema/documents.ts';
import { readEventData, type SystemEvent } from '../../hcs/system-event.ts';
import { colors, print } from '../terminal.ts';
import { eventLines } from '../vm/machine-output.ts';
import type { OutputOptions } from './output.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { type Session, withService } from './session.ts';
import { shownId } from './shown-id.ts';
import { stateColor } from './state-color.ts';

/** What `hcs events` was given. */
export interface EventsOptions extends ServiceOptions, OutputOptions {
  readonly follow?: boolean;
}

/** How often systems that are new are looked for, in milliseconds. */
const LOOK_MS = 500;

/** An event of a system, or the state that it is in. */
type Happening = SystemEvent | { readonly type: 'state'; readonly state: State };

/** Says the state of each system, then what happens to it; without ids, to every system, those that come included. */
export async function events(
  context: HcsContext,
  ids: readonly string[],
  options: EventsOptions,
): Promise<void> {
  await withService(context, options, async (session) => {
    const watching = new Map<string, Promise<void>>();
    let fail: (reason: unknown) => void = () => {};
    const failed = new Promise<never>((_, reject) => {
      fail = reject;
    });
    failed.catch(() => undefined);
    const watch = (system: ComputeSystem): void => {
      if (watching.has(system.id)) return;
      const watched = watchSystem(session, system, options);
      watching.set(
        system.id,
        watched.catch(fail).finally(() => watching.delete(system.id)),
      );
    };
    for (const id of new Set(ids)) watch(await session.open(id));
    if (ids.length > 0 || !options.follow) {
      if (ids.length === 0) await lookForSystems(session, watching, watch);
      await Promise.race([Promise.all(watching.values()), failed]);
      // What failed last has settled both.
      await Promise.race([failed, undefined]);
      return;
    }
    while (!session.signal.aborted) {
      await lookForSystems(session, watching, watch).catch((error: unknown) => {
        throw isDisconnected(error) ? new ServiceEndedError() : error;
      });
      await Promise.race([delay(LOOK_MS, undefined, { signal: session.signal }), failed]);
    }
  });
}

/** The service has gone, and with it what was followed. */
class ServiceEndedError extends Error {
  override readonly name = 'ServiceEndedError';
  readonly remedy = 'hcs service says whether one runs; hcs list, what systems it has';

  /** @param id of the system that was followed; undefined: all were */
  constructor(id?: string) {
    const what = id === undefined ? 'the systems' : shownId(id);
    super(`Cannot follow ${what} any longer: the compute service has ended`);
  }
}

function isDisconnected(error: unknown): boolean {
  return error instanceof HcsError && error.code === 'HCS_E_SERVICE_DISCONNECT';
}

async function lookForSystems(
  { host: { core }, signal }: Session,
  known: ReadonlyMap<string, unknown>,
  watch: (system: ComputeSystem) => void,
): Promise<void> {
  for (const { Id } of await ComputeSystem.enumerate(undefined, { core, signal })) {
    if (Id === undefined || known.has(Id)) continue;
    try {
      watch(await ComputeSystem.open(Id, { core, signal }));
    } catch (error) {
      // It has ended since it was listed.
      if (!isGone(error)) throw error;
    }
  }
}

async function watchSystem(
  { host: { core }, cleanUp, signal }: Session,
  system: ComputeSystem,
  options: EventsOptions,
): Promise<void> {
  const { id } = system;
  const say = (event: Happening): void => sayEvent(id, event, options);
  const sayState = async (): Promise<void> => {
    const { State: state = 'Unknown' as State } = await system.properties(undefined, { signal });
    say({ type: 'state', state });
  };
  if (!options.follow) {
    await sayState();
    await system.close();
    return;
  }
  const happened = system.events();
  // States come to a handle that asks for them, and a handle has one callback.
  const states = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
  const close = (): Promise<void> => core.HcsCloseComputeSystem(states).catch(() => undefined);
  cleanUp.add(close);
  const bits = HCS_EVENT_OPTIONS.HcsEventOptionEnableVmLifecycle;
  core.HcsSetComputeSystemCallback(states, bits, null, ({ Type, EventData }) => {
    if (Type >>> 0 !== HCS_EVENT_TYPE.HcsEventGroupVmLifecycle) return;
    const { State: now } = readEventData<{ readonly State?: State }>(EventData);
    // The exit says more.
    if (now !== undefined && now !== 'Stopped') say({ type: 'state', state: now });
  });
  // A machine of this process that does nothing keeps no process.
  const keep = setInterval(() => undefined, 2 ** 31 - 1);
  cleanUp.add(() => clearInterval(keep));
  try {
    // Whoever reads it can rely on hearing of all that comes later.
    await sayState();
    for await (const event of happened) {
      say(event);
      if (event.type === 'serviceDisconnected') throw new ServiceEndedError(id);
    }
  } finally {
    clearInterval(keep);
    await close();
    await system.close();
  }
}

function sayEvent(id: string, event: Happening, { json }: OutputOptions): void {
  const time = new Date().toISOString();
  if (json) {
    print(JSON.stringify({ time, id, ...event }));
    return;
  }
  const c = colors();
  const [first = '', ...more] =
    event.type === 'state'
      ? [stateColor(event.state, { State: event.state }, c)]
      : eventLines(event, c);
  print(`${c.dim(time)} ${shownId(id)} ${first}`);
  for (const line of more) print(line);
}
