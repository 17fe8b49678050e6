import { failure } from '../../compute/failure.ts';
import type { OwnedResource, OwnedResources } from '../../compute/owned-resources.ts';
import type { ServedSystemRecord } from '../../compute/served-system-record.ts';
import { systemKey } from '../../compute/system-id.ts';
import type { KeptSystem, SystemJournal } from '../../compute/system-journal.ts';
import type { CallBegun, UnfinishedCall } from '../../compute/unfinished-call.ts';
import type { RecordCopies } from './record-copies.ts';
import type {
  OperationRecord,
  ResourceRecord,
  SystemChanges,
  SystemKey,
  SystemRecord,
} from './records.ts';
import type { StateStore } from './state-store.ts';

/** What the engine column of a system has: its machine, and what the service knows besides. */
type EngineColumn = Pick<
  ServedSystemRecord,
  'template' | 'entries' | 'devices' | 'isShuttingDown' | 'cpuGroup'
> & {
  readonly machine?: unknown;
};

/** What a {@link StoreJournal} is made of. */
export interface StoreJournalOptions {
  /** Told of what could not be stored, and of what was found again. */
  readonly warn: (message: string) => void;
  /** Where a second copy of everything goes, of which a store begins that knows of nothing. */
  readonly copies?: RecordCopies | undefined;
}

/** Keeps the systems of a service in a {@link StateStore}. */
export class StoreJournal implements SystemJournal {
  readonly orphaned: OwnedResources;
  readonly #store: StateStore;
  readonly #warn: (message: string) => void;
  readonly #copies: RecordCopies | undefined;
  /** Whose each name is now. */
  readonly #current = new Map<string, KeptSystem>();

  constructor(store: StateStore, { warn, copies }: StoreJournalOptions) {
    this.#store = store;
    this.#warn = warn;
    this.#copies = copies;
    this.orphaned = this.#owned({ space: '', id: '' }, () => store.resources.orphans());
    if (copies !== undefined && store.isEmpty) this.#recover(copies);
  }

  /** The systems as they were stored last, in the order in which they were created. */
  get records(): readonly ServedSystemRecord[] {
    const { systems, operations } = this.#store;
    return systems.all().map((system) => {
      const unfinished = operations.all(system).map(toUnfinished);
      return { ...toServed(system), ...(unfinished.length === 0 ? {} : { unfinished }) };
    });
  }

  begin(name: string, record: ServedSystemRecord): KeptSystem {
    const { systems } = this.#store;
    const key = keyOf(record);
    stored(name, 'the system cannot be kept, and is not created', () =>
      this.#store.transaction(() => {
        systems.remove(key);
        systems.add(toStored(record));
      }),
    );
    this.#try(key, () => this.#copies?.remove(key));
    return this.#kept(key, name, record);
  }

  resume(record: ServedSystemRecord): KeptSystem {
    return this.#kept(keyOf(record), 'HcsCreateComputeSystem', record);
  }

  setting(part: string): unknown {
    return this.#store.settings.get(part);
  }

  keepSetting(name: string, part: string, value: unknown): void {
    const { settings } = this.#store;
    stored(name, 'it cannot be kept, and is not done', () => settings.set(part, value));
    this.#copySettings();
  }

  /** Begins with what the copies have. */
  #recover(copies: RecordCopies): void {
    const { systems, settings } = this.#store;
    const { records, unreadable } = copies;
    const parts = Object.entries(copies.settings);
    if (unreadable.length > 0) {
      this.#warn(
        `Copies of the state cannot be read, and what they were of is not known: ${unreadable.join(', ')}`,
      );
    }
    if (records.length === 0 && parts.length === 0) return;
    this.#store.transaction(() => {
      for (const record of records) systems.add(toStored(record));
      for (const [part, value] of parts) settings.set(part, value);
    });
    if (records.length === 0) return;
    this.#warn(
      `The state knows no systems, and copies of ${records.length} are there: it begins with those`,
    );
  }

  #kept(key: SystemKey, name: string, first: ServedSystemRecord): KeptSystem {
    const { systems, operations, resources } = this.#store;
    const named = systemKey(key.space, key.id);
    let last = JSON.stringify({ ...first, unfinished: undefined });
    const isCurrent = (): boolean => this.#current.get(named) === kept;
    const change = (record: ServedSystemRecord): void => {
      const text = JSON.stringify(record);
      if (text === last || !isCurrent()) return;
      systems.change(key, changesOf(record));
      last = text;
      this.#try(key, () => this.#copies?.put(key, record));
    };
    const kept: KeptSystem = {
      owned: this.#owned(key, () => resources.all(key)),
      built: (record) =>
        stored(name, 'the system cannot be kept, and is not created', () => change(record)),
      changed: (record) => this.#try(key, () => change(record)),
      call: (call) => {
        let begun: OperationRecord | undefined;
        this.#try(key, () => {
          if (isCurrent()) begun = operations.begin(key, call.function, detailsOf(call));
        });
        return (record) =>
          this.#try(key, () =>
            this.#store.transaction(() => {
              change(record);
              if (begun !== undefined) operations.end(begun.number);
            }),
          );
      },
      settled: (record) =>
        this.#try(key, () =>
          this.#store.transaction(() => {
            change(record);
            operations.endAll(key);
          }),
        ),
      forget: () => {
        if (!isCurrent()) return;
        this.#current.delete(named);
        this.#try(key, () => systems.remove(key));
        this.#try(key, () => this.#copies?.remove(key));
      },
    };
    this.#current.set(named, kept);
    return kept;
  }

  #owned(key: SystemKey, all: () => readonly ResourceRecord[]): OwnedResources {
    const { resources } = this.#store;
    return {
      get all() {
        return all().map(({ kind, name }) => ({ kind, name }) as OwnedResource);
      },
      add: (resource) => this.#try(key, () => resources.add({ ...resource, system: key })),
      remove: ({ kind, name }) => this.#try(key, () => resources.remove(kind, name)),
    };
  }

  #copySettings(): void {
    try {
      this.#copies?.putSettings(this.#store.settings.all());
    } catch (error) {
      this.#warn(`There is no copy of the settings: ${(error as Error).message}`);
    }
  }

  #try(key: SystemKey, work: () => unknown): void {
    try {
      work();
    } catch (error) {
      this.#warn(`The state of system ${key.id} is not stored: ${(error as Error).message}`);
    }
  }
}

function stored(name: string, what: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    const message = `${what}: ${(error as Error).message}`;
    throw failure(name, 'E_FAIL', message, undefined, error);
  }
}

function detailsOf({ function: _name, ...details }: CallBegun): unknown {
  return details;
}

function toUnfinished({ function: name, begunAt, details }: OperationRecord): UnfinishedCall {
  return { ...(details as Omit<CallBegun, 'function'>), function: name, begunAt };
}

function keyOf({ idNamespace, id }: ServedSystemRecord): SystemKey {
  return { space: idNamespace, id };
}

function changesOf({
  state,
  exit,
  engineRecord: machine,
  template,
  entries,
  devices,
  isShuttingDown,
  cpuGroup,
}: ServedSystemRecord): SystemChanges {
  const engineRecord: EngineColumn = {
    ...(template === undefined ? {} : { template }),
    ...(isShuttingDown === undefined ? {} : { isShuttingDown }),
    ...(cpuGroup === undefined ? {} : { cpuGroup }),
    ...{ entries, devices, machine },
  };
  return { state, exit, engineRecord };
}

function toStored(record: ServedSystemRecord): SystemRecord {
  const { runtimeId, createdDocument, engine, state } = record;
  return {
    ...keyOf(record),
    ...{ runtimeId, createdDocument, engine, state },
    owner: record.owner ?? process.getuid?.() ?? 0,
    sddl: record.securityDescriptor ?? '',
    document: createdDocument,
    ...changesOf(record),
  };
}

function toServed(record: SystemRecord): ServedSystemRecord {
  const { space, id, runtimeId, createdDocument, engine, state, exit, owner, sddl } = record;
  const { machine, devices, ...known } = record.engineRecord as EngineColumn;
  return {
    ...{ idNamespace: space, id, runtimeId, createdDocument, engine, state, owner },
    ...known,
    devices: devices.map(toEntry),
    securityDescriptor: sddl,
    ...(exit === undefined ? {} : { exit }),
    ...(machine === undefined ? {} : { engineRecord: machine }),
  };
}

/** Earlier versions have stored the instance id alone. */
function toEntry(device: ServedSystemRecord['devices'][number] | string): typeof device & object {
  return typeof device === 'string'
    ? { instanceId: device, classId: '', configuration: [] }
    : device;
}
