import { setTimeout as delay } from 'node:timers/promises';
import { colors, print, remark } from '../terminal.ts';
import { type OutputOptions, tell } from './output.ts';
import { type Sample, Sampler } from './samples.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { StatsView } from './stats-view.ts';

/** What `hcs stats` was given. */
export interface StatsOptions extends ServiceOptions, OutputOptions {
  /** Seconds. */
  readonly interval: number;
  readonly count?: number;
}

/** Shows what systems use of the host: live on a terminal, once elsewhere, in lines of JSON as long as it takes. */
export async function stats(
  context: HcsContext,
  ids: readonly string[],
  options: StatsOptions,
): Promise<void> {
  await withService(context, options, async (session) => {
    const named = [];
    for (const id of new Set(ids)) named.push(await session.open(id));
    const sampler = new Sampler(session, ids.length === 0 ? undefined : named);
    const isLive = Boolean(process.stdout.isTTY) && !options.json;
    const view = new StatsView(isLive);
    const count = options.count ?? (isLive || options.json ? Number.POSITIVE_INFINITY : 1);
    // What is counted is known of a time, not of a moment.
    await sampler.next();
    for (let shown = 0; shown < count; shown++) {
      await delay(options.interval * 1000, undefined, { signal: session.signal });
      const samples = await sampler.next();
      if (samples.length === 0) {
        if (named.length > 0 || !isLive) {
          remark(
            named.length > 0 ? 'The compute systems have ended' : 'There are no compute systems',
          );
          return;
        }
      }
      if (options.json) for (const sample of samples) sayJson(sample);
      else print(view.lines(samples, colors()).join('\n'));
    }
  });
}

function sayJson({ id, state, statistics, ...figures }: Sample): void {
  tell({ json: true }, '', {
    time: new Date().toISOString(),
    id,
    state,
    ...figures,
    ...(statistics === undefined ? {} : { statistics }),
  });
}
