import { ComputeSystem } from '../../hcs/compute-system.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import type { GetPropertyType, ServiceProperties } from '../../hcs/schema/documents.ts';
import { colors, print } from '../terminal.ts';
import type { OutputOptions } from './output.ts';
import type { HcsContext, ServiceHost, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { size } from './stats-view.ts';

const TYPES: readonly GetPropertyType[] = ['Basic', 'ProcessorTopology', 'Memory', 'CpuGroup'];
const PAGE = 4096;

/** What a service answers, by type of property; one that it does not answer is absent. */
type Answers = Readonly<Partial<Record<GetPropertyType, unknown>>>;

/** Shows what the compute service is, and what its host is made of. */
export async function service(
  context: HcsContext,
  options: ServiceOptions & OutputOptions,
): Promise<void> {
  await withService(context, options, async ({ host, signal }) => {
    const answers = await ask(host);
    const systems = await ComputeSystem.enumerate(undefined, { core: host.core, signal });
    if (options.json) {
      const { name, daemon } = host;
      const known = { host: name, ...(daemon && { daemon }), systems: systems.length, ...answers };
      print(JSON.stringify(known, null, 2));
      return;
    }
    const c = colors();
    for (const [title, text] of [
      ['host', host.name],
      ['service', serviceText(host)],
      ['systems', String(systems.length)],
      ...rows(answers),
    ] as const) {
      print(`${c.dim(title.padEnd(10))}  ${text}`);
    }
  });
}

function serviceText({ daemon, outlivesCommand }: ServiceHost): string {
  if (daemon !== undefined) return `hcsd ${daemon.version}, process ${daemon.pid}`;
  return outlivesCommand ? 'that of this computer' : 'in this command';
}

async function ask({ core }: ServiceHost): Promise<Answers> {
  const answers: Record<string, unknown> = {};
  for (const type of TYPES) {
    try {
      const text = await core.HcsGetServiceProperties(JSON.stringify({ PropertyTypes: [type] }));
      const { Properties: [answer] = [] } = JSON.parse(text) as ServiceProperties;
      answers[type] = answer;
    } catch (error) {
      // An older service does not know each of them.
      if (!(error instanceof HcsError) || error.code === 'HCS_E_SERVICE_NOT_AVAILABLE') throw error;
    }
  }
  return answers;
}

function rows(answers: Answers): readonly (readonly [string, string])[] {
  const basic = answers.Basic as
    | {
        readonly SupportedSchemaVersions?: readonly {
          readonly Major: number;
          readonly Minor: number;
        }[];
      }
    | undefined;
  const processors = answers.ProcessorTopology as
    | {
        readonly LogicalProcessorCount?: number;
      }
    | undefined;
  const memory = answers.Memory as
    | {
        readonly NumaNodes?: readonly {
          readonly TotalMemory: number;
          readonly AvailableMemory: number;
        }[];
      }
    | undefined;
  const groups = answers.CpuGroup as { readonly CpuGroups?: readonly unknown[] } | undefined;
  const pages = (which: 'TotalMemory' | 'AvailableMemory'): string =>
    size((memory?.NumaNodes ?? []).reduce((sum, node) => sum + node[which], 0) * PAGE);
  const versions = basic?.SupportedSchemaVersions?.map(({ Major, Minor }) => `${Major}.${Minor}`);
  return [
    ...row('schema', versions && `up to ${versions.join(', ')}`),
    ...row('processors', processors?.LogicalProcessorCount),
    ...row('memory', memory && `${pages('AvailableMemory')} of ${pages('TotalMemory')} available`),
    ...row('CPU groups', groups && (groups.CpuGroups?.length ?? 0)),
  ];
}

function row(
  title: string,
  value: string | number | undefined,
): readonly (readonly [string, string])[] {
  return value === undefined ? [] : [[title, String(value)]];
}
