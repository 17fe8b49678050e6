import { ComputeSystem } from '../../hcs/compute-system.ts';
import { isGone } from '../../hcs/is-gone.ts';
import type { Properties, Statistics } from '../../hcs/schema/documents.ts';
import type { Session } from './session.ts';

/** What a system did between two looks at it. */
export interface Sample {
  readonly id: string;
  readonly state: Properties['State'];
  /** Share of one processor in percent: two busy ones are 200. */
  readonly cpuPercent: number | undefined;
  readonly memoryBytes: number | undefined;
  /** Bytes in a second. */
  readonly readRate: number | undefined;
  readonly writeRate: number | undefined;
  readonly statistics: Statistics | undefined;
}

/** Looks at systems again and again, and remembers what it saw last. */
export class Sampler {
  readonly #session: Session;
  readonly #named: ReadonlyMap<string, ComputeSystem> | undefined;
  readonly #open = new Map<string, ComputeSystem>();
  readonly #before = new Map<string, Seen>();

  /** @param named systems to look at; undefined is every one that there is at each look */
  constructor(session: Session, named: readonly ComputeSystem[] | undefined) {
    this.#session = session;
    this.#named = named && new Map(named.map((system) => [system.id, system]));
    session.cleanUp.add(() => Promise.all([...this.#open.values()].map((each) => each.close())));
  }

  /** One look at each system that is still there. */
  async next(): Promise<readonly Sample[]> {
    const samples = await Promise.all(
      [...(await this.#systems()).values()].map(async (system) => await this.#sample(system)),
    );
    return samples.filter((sample) => sample !== undefined);
  }

  async #systems(): Promise<ReadonlyMap<string, ComputeSystem>> {
    if (this.#named !== undefined) return this.#named;
    const { host, signal } = this.#session;
    const { core } = host;
    const listed = await ComputeSystem.enumerate(undefined, { core, signal });
    const ids = listed.flatMap(({ Id }) => Id ?? []).sort();
    for (const [id, system] of this.#open) {
      if (ids.includes(id)) continue;
      this.#open.delete(id);
      await system.close();
    }
    for (const id of ids) {
      if (this.#open.has(id)) continue;
      const system = await ComputeSystem.open(id, { core, signal }).catch(goneIsNothing);
      if (system !== undefined) this.#open.set(id, system);
    }
    return new Map(ids.flatMap((id) => entry(id, this.#open.get(id))));
  }

  async #sample(system: ComputeSystem): Promise<Sample | undefined> {
    const { signal } = this.#session;
    const properties = await system
      .properties({ PropertyTypes: ['Statistics'] }, { signal })
      .catch(goneIsNothing);
    if (properties === undefined || properties.State === 'Stopped') return undefined;
    const { State: state, Statistics: statistics } = properties;
    const now: Seen = { statistics, atMs: performance.now() };
    const before = this.#before.get(system.id);
    this.#before.set(system.id, now);
    return { id: system.id, state, ...difference(before, now), statistics };
  }
}

interface Seen {
  readonly statistics: Statistics | undefined;
  readonly atMs: number;
}

function difference(
  before: Seen | undefined,
  { statistics, atMs }: Seen,
): Pick<Sample, 'cpuPercent' | 'memoryBytes' | 'readRate' | 'writeRate'> {
  const memoryBytes = statistics?.Memory?.MemoryUsageCommitBytes;
  const was = before?.statistics;
  // What the service itself counts fits to its other counts; a service without it leaves our clock.
  const uptime = rise(was?.Uptime100ns, statistics?.Uptime100ns);
  const time100ns = uptime ?? (before === undefined ? undefined : (atMs - before.atMs) * 10_000);
  const rate = (from: number | undefined, to: number | undefined): number | undefined => {
    const more = rise(from, to);
    return more === undefined || !time100ns ? undefined : more / (time100ns / 1e7);
  };
  const cpu = rise(was?.Processor?.TotalRuntime100ns, statistics?.Processor?.TotalRuntime100ns);
  return {
    memoryBytes,
    cpuPercent: cpu === undefined || !time100ns ? undefined : (cpu / time100ns) * 100,
    readRate: rate(was?.Storage?.ReadSizeBytes, statistics?.Storage?.ReadSizeBytes),
    writeRate: rate(was?.Storage?.WriteSizeBytes, statistics?.Storage?.WriteSizeBytes),
  };
}

function rise(from: number | undefined, to: number | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : Math.max(0, to - from);
}

function entry<T>(id: string, value: T | undefined): readonly (readonly [string, T])[] {
  return value === undefined ? [] : [[id, value]];
}

function goneIsNothing(error: unknown): undefined {
  if (isGone(error)) return undefined;
  throw error;
}
