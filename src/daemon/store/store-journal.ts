import { failure } from '../../compute/failure.ts';
import type { ServedSystemRecord } from '../../compute/served-system-record.ts';
import { systemKey } from '../../compute/system-id.ts';
import type { KeptSystem, SystemJournal } from '../../compute/system-journal.ts';
import type { SystemChanges, SystemKey, SystemRecord } from './records.ts';
import type { StateStore } from './state-store.ts';

/** What the engine column of a system has: its machine, and what the service knows besides. */
type EngineColumn = Pick<ServedSystemRecord, 'template' | 'entries' | 'devices'> & {
  readonly machine?: unknown;
};

/** Keeps the systems of a service in a {@link StateStore}. */
export class StoreJournal implements SystemJournal {
  readonly #store: StateStore;
  readonly #warn: (message: string) => void;
  /** Whose each name is now. */
  readonly #current = new Map<string, KeptSystem>();

  /** @param warn told of what could not be stored */
  constructor(store: StateStore, warn: (message: string) => void) {
    this.#store = store;
    this.#warn = warn;
  }

  /** The systems as they were stored last, in the order in which they were created. */
  get records(): readonly ServedSystemRecord[] {
    return this.#store.systems.all().map(toServed);
  }

  begin(name: string, record: ServedSystemRecord): KeptSystem {
    const { systems } = this.#store;
    const key = keyOf(record);
    stored(name, () =>
      this.#store.transaction(() => {
        systems.remove(key);
        systems.add(toStored(record));
      }),
    );
    return this.#kept(key, name, record);
  }

  resume(record: ServedSystemRecord): KeptSystem {
    return this.#kept(keyOf(record), 'HcsCreateComputeSystem', record);
  }

  #kept(key: SystemKey, name: string, first: ServedSystemRecord): KeptSystem {
    const { systems } = this.#store;
    const named = systemKey(key.space, key.id);
    let last = JSON.stringify(first);
    const isCurrent = (): boolean => this.#current.get(named) === kept;
    const change = (record: ServedSystemRecord): void => {
      const text = JSON.stringify(record);
      if (text === last || !isCurrent()) return;
      systems.change(key, changesOf(record));
      last = text;
    };
    const kept: KeptSystem = {
      built: (record) => stored(name, () => change(record)),
      changed: (record) => this.#try(key, () => change(record)),
      forget: () => {
        if (!isCurrent()) return;
        this.#current.delete(named);
        this.#try(key, () => systems.remove(key));
      },
    };
    this.#current.set(named, kept);
    return kept;
  }

  #try(key: SystemKey, work: () => unknown): void {
    try {
      work();
    } catch (error) {
      this.#warn(`The state of system ${key.id} is not stored: ${(error as Error).message}`);
    }
  }
}

function stored(name: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    const message = `the system cannot be kept, and is not created: ${(error as Error).message}`;
    throw failure(name, 'E_FAIL', message, undefined, error);
  }
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
}: ServedSystemRecord): SystemChanges {
  const engineRecord: EngineColumn = {
    ...(template === undefined ? {} : { template }),
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
  const { machine, ...known } = record.engineRecord as EngineColumn;
  return {
    ...{ idNamespace: space, id, runtimeId, createdDocument, engine, state, owner },
    ...known,
    securityDescriptor: sddl,
    ...(exit === undefined ? {} : { exit }),
    ...(machine === undefined ? {} : { engineRecord: machine }),
  };
}
