import type {
  CpuGroupConfig,
  CpuGroupConfigurations,
  CreateGroupOperation,
  DeleteGroupOperation,
  HostProcessorModificationRequest,
  SetPropertyOperation,
} from '../hcs/schema/documents.ts';
import type { ObjectType } from '../hcs/schema/schema-types.ts';
import { checkDocument, invalidDocument } from '../hcs/schema/validate.ts';
import { failure } from './failure.ts';
import { CpuGroupPropertyCode, type HostInformation } from './host-information.ts';
import type { SystemJournal } from './system-journal.ts';

/** The id that stands for no group: a system of it runs on every processor. */
const NO_GROUP = '00000000-0000-0000-0000-000000000000';

const OPERATIONS = {
  CreateGroup: 'CreateGroupOperation',
  DeleteGroup: 'DeleteGroupOperation',
  SetProperty: 'SetPropertyOperation',
} as const satisfies Readonly<Record<string, ObjectType>>;

interface CpuGroup {
  readonly id: string;
  readonly hypervisorId: number;
  readonly processors: readonly number[];
  readonly properties: Map<number, number>;
  /** Systems that run in it. */
  readonly members: Set<object>;
}

/** What is kept of the groups for another service. */
interface KeptGroups {
  readonly lastHypervisorId: number;
  readonly groups: readonly (Pick<CpuGroup, 'id' | 'hypervisorId' | 'processors'> & {
    readonly properties: readonly (readonly [code: number, value: number])[];
  })[];
}

/** Name of what is kept of the groups in a {@link SystemJournal}. */
const PART = 'cpuGroups';

/**
 * The CPU groups of a service: named sets of logical processors that systems are bound to. They end with the service, unless
 * it has a journal.
 */
export class CpuGroups {
  readonly #host: HostInformation;
  readonly #journal: SystemJournal | undefined;
  #groups = new Map<string, CpuGroup>();
  #lastHypervisorId = 0;

  constructor(host: HostInformation, journal?: SystemJournal) {
    this.#host = host;
    this.#journal = journal;
    const kept = journal?.setting(PART) as KeptGroups | undefined;
    if (kept === undefined) return;
    this.#lastHypervisorId = kept.lastHypervisorId;
    for (const { properties, ...group } of kept.groups) {
      const whole = { ...group, properties: new Map(properties), members: new Set<object>() };
      this.#groups.set(group.id, whole);
    }
  }

  /** The CpuGroup property of the service. */
  configurations(): CpuGroupConfigurations {
    return { CpuGroups: [...this.#groups.values()].map(configuration) };
  }

  /**
   * Changes the groups. Nothing has changed when it throws.
   * @param settings HostProcessorModificationRequest
   * @throws HcsError HCS_E_INVALID_JSON; E_INVALIDARG for processors that are not there;
   * ERROR_HV_INVALID_CPU_GROUP_ID for an id that is no group's; ERROR_HV_INVALID_CPU_GROUP_STATE for one that is taken,
   * or in use; ERROR_NOT_SUPPORTED for a property that the host cannot see to
   */
  modify(name: string, settings: unknown): void {
    const type = 'HostProcessorModificationRequest';
    const request = checkDocument<HostProcessorModificationRequest>(
      type,
      settings,
      name,
      '$.Settings',
    );
    const { Operation, OperationDetails } = request;
    if (Operation === undefined || OperationDetails === undefined) {
      const field = Operation === undefined ? 'Operation' : 'OperationDetails';
      const message = `is missing: write ${Object.keys(OPERATIONS).join(', ')}, with details`;
      throw invalidDocument(name, type, [{ path: `$.Settings.${field}`, message }]);
    }
    const at = '$.Settings.OperationDetails';
    const details = checkDocument(OPERATIONS[Operation], OperationDetails, name, at);
    const before = new Map(
      [...this.#groups].map(([id, group]) => {
        return [id, { ...group, properties: new Map(group.properties) }] as const;
      }),
    );
    this.#apply(name, Operation, details);
    try {
      this.#journal?.keepSetting(name, PART, this.#kept);
    } catch (error) {
      this.#groups = before;
      throw error;
    }
  }

  get #kept(): KeptGroups {
    const groups = [...this.#groups.values()].map(
      ({ id, hypervisorId, processors, properties }) => {
        return { id, hypervisorId, processors, properties: [...properties] };
      },
    );
    return { lastHypervisorId: this.#lastHypervisorId, groups };
  }

  #apply(name: string, operation: keyof typeof OPERATIONS, details: object): void {
    switch (operation) {
      case 'CreateGroup':
        this.#create(name, details as CreateGroupOperation);
        break;
      case 'DeleteGroup':
        this.#delete(name, details as DeleteGroupOperation);
        break;
      case 'SetProperty':
        this.#setProperty(name, details as SetPropertyOperation);
        break;
    }
  }

  /**
   * The processors of a group, or all of the host for the id of no group.
   * @param at JSON path of the id, for the error
   * @throws HcsError ERROR_HV_INVALID_CPU_GROUP_ID
   */
  processorsOf(name: string, id: string, at: string): readonly number[] {
    if (id === NO_GROUP) return this.#host.logicalProcessors().map(({ LpIndex = 0 }) => LpIndex);
    return this.#find(name, id, at).processors;
  }

  /** Counts a system to a group, and to no other. */
  join(member: object, id: string | undefined): void {
    this.leave(member);
    if (id !== undefined) this.#groups.get(id.toLowerCase())?.members.add(member);
  }

  leave(member: object): void {
    for (const { members } of this.#groups.values()) members.delete(member);
  }

  #create(name: string, details: CreateGroupOperation): void {
    const at = '$.Settings.OperationDetails';
    const {
      GroupId,
      LogicalProcessors: given = [],
      LogicalProcessorCount = given.length,
    } = details;
    const id = groupId(name, GroupId, at);
    if (this.#groups.has(id)) {
      throw failure(
        name,
        'ERROR_HV_INVALID_CPU_GROUP_STATE',
        `${at}.GroupId: there is a CPU group ${id} already: delete it, or use another id`,
      );
    }
    const online = new Set(this.#host.logicalProcessors().map(({ LpIndex = 0 }) => LpIndex));
    const processors = [...new Set(given)].sort((a, b) => a - b);
    if (processors.length === 0 || LogicalProcessorCount !== given.length) {
      throw failure(
        name,
        'E_INVALIDARG',
        `${at}.LogicalProcessors has ${given.length} processors, and LogicalProcessorCount is ${LogicalProcessorCount}: list at least one, and as many as the count says`,
      );
    }
    if (processors.length !== given.length) {
      throw failure(name, 'E_INVALIDARG', `${at}.LogicalProcessors names a processor twice`);
    }
    const missing = processors.find((processor) => !online.has(processor));
    if (missing !== undefined) {
      throw failure(
        name,
        'E_INVALIDARG',
        `${at}.LogicalProcessors has ${missing}, which this host does not: it has ${[...online].join(', ')}`,
      );
    }
    this.#lastHypervisorId++;
    this.#groups.set(id, {
      id,
      hypervisorId: this.#lastHypervisorId,
      processors,
      properties: new Map(),
      members: new Set(),
    });
  }

  #delete(name: string, { GroupId }: DeleteGroupOperation): void {
    const at = '$.Settings.OperationDetails';
    const group = this.#find(name, groupId(name, GroupId, at), `${at}.GroupId`);
    if (group.members.size > 0) {
      throw failure(
        name,
        'ERROR_HV_INVALID_CPU_GROUP_STATE',
        `${at}.GroupId: ${group.members.size} systems run in the CPU group ${group.id}: move them to another, or to ${NO_GROUP}, first`,
      );
    }
    this.#groups.delete(group.id);
  }

  #setProperty(name: string, { GroupId, PropertyCode, PropertyValue }: SetPropertyOperation): void {
    const at = '$.Settings.OperationDetails';
    const group = this.#find(name, groupId(name, GroupId, at), `${at}.GroupId`);
    const known: readonly number[] = Object.values(CpuGroupPropertyCode);
    if (PropertyCode === undefined || !known.includes(PropertyCode)) {
      throw failure(
        name,
        'E_INVALIDARG',
        `${at}.PropertyCode is ${PropertyCode}: there are ${known.join(', ')}`,
      );
    }
    if (PropertyValue === undefined) {
      throw failure(name, 'E_INVALIDARG', `${at}.PropertyValue is missing`);
    }
    if (!this.#host.cpuGroupProperties.includes(PropertyCode)) {
      throw failure(
        name,
        'ERROR_NOT_SUPPORTED',
        `${at}.PropertyCode is ${PropertyCode}, which nothing on this host sees to: a group here is a set of processors`,
      );
    }
    group.properties.set(PropertyCode, PropertyValue);
  }

  #find(name: string, id: string, at: string): CpuGroup {
    const group = this.#groups.get(id.toLowerCase());
    if (group !== undefined) return group;
    throw failure(
      name,
      'ERROR_HV_INVALID_CPU_GROUP_ID',
      `${at} is ${id}, which is no CPU group: create it by HcsModifyServiceSettings`,
    );
  }
}

function groupId(name: string, id: string | undefined, at: string): string {
  if (id === undefined) throw failure(name, 'E_INVALIDARG', `${at}.GroupId is missing`);
  if (id !== NO_GROUP) return id.toLowerCase();
  throw failure(
    name,
    'ERROR_HV_INVALID_CPU_GROUP_ID',
    `${at}.GroupId is ${NO_GROUP}, which stands for no group: use another id`,
  );
}

function configuration({ id, hypervisorId, processors, properties }: CpuGroup): CpuGroupConfig {
  return {
    GroupId: id,
    Affinity: { LogicalProcessorCount: processors.length, LogicalProcessors: processors },
    GroupProperties: [...properties].map(([PropertyCode, PropertyValue]) => ({
      PropertyCode,
      PropertyValue,
    })),
    HypervisorGroupId: hypervisorId,
  };
}
