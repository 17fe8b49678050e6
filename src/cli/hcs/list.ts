import { ComputeSystem } from '../../hcs/compute-system.ts';
import type { Properties, SystemQuery } from '../../hcs/schema/documents.ts';
import { print, remark } from '../terminal.ts';
import { tableLines } from './columns.ts';
import type { OutputOptions } from './output.ts';
import { withPatience } from './patience.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { shownId } from './shown-id.ts';
import { stateColor } from './state-color.ts';

/** What `hcs list` was given. */
export interface ListOptions extends ServiceOptions, OutputOptions {
  readonly owner?: readonly string[];
  readonly state?: string;
  readonly quiet?: boolean;
}

/** Lists the compute systems, by their ids. */
export async function list(context: HcsContext, options: ListOptions): Promise<void> {
  await withService(context, options, async ({ host: { core }, signal }) => {
    const query: SystemQuery | undefined =
      options.owner === undefined ? undefined : { Owners: options.owner };
    const found = await withPatience(
      'Listing the compute systems',
      ComputeSystem.enumerate(query, { core, signal }),
    );
    const { state } = options;
    const systems = found
      .filter(({ State }) => state === undefined || isSame(State ?? '', state))
      .sort((a, b) => compare(a.Id ?? '', b.Id ?? ''));
    show(systems, options);
  });
}

function show(systems: readonly Properties[], { json, quiet }: ListOptions): void {
  if (json) {
    print(JSON.stringify(systems, null, 2));
  } else if (quiet) {
    for (const { Id = '' } of systems) print(Id);
  } else if (systems.length === 0) {
    remark('There are no compute systems');
  } else {
    print(tableLines(COLUMNS, systems).join('\n'));
  }
}

const COLUMNS = [
  { title: 'ID', text: ({ Id = '' }: Properties) => shownId(Id), isId: true },
  {
    title: 'STATE',
    text: ({ State }: Properties) => State ?? '',
    color: stateColor,
  },
  { title: 'TYPE', text: ({ SystemType }: Properties) => SystemType ?? '' },
  { title: 'OWNER', text: ({ Owner = '' }: Properties) => shownId(Owner) },
] as const;

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
