import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServedSystemRecord } from '../../compute/served-system-record.ts';
import type { SystemKey } from './records.ts';

/** What every other copy is not: the parts of the service itself. */
const SETTINGS = 'settings.copy';

/**
 * Second copies of what a {@link StateStore} knows, a file each with its SHA-256 above it, for the day on which its database is damaged while machines
 * run. They are whole, each for itself, and as new as the last change; they may be lost when the computer loses its power, when
 * no machine runs any more.
 */
export class RecordCopies {
  readonly #folder: string;

  /** @param folder is made, for its owner alone, with the first copy */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Paths of copies that cannot be read. */
  get unreadable(): readonly string[] {
    return this.#names()
      .filter((name) => this.#read(name) === undefined)
      .map((name) => join(this.#folder, name));
  }

  /** Records of all systems, but for those that are {@link unreadable}. */
  get records(): readonly ServedSystemRecord[] {
    return this.#names()
      .filter((name) => name !== SETTINGS)
      .flatMap((name) => (this.#read(name) as ServedSystemRecord | undefined) ?? []);
  }

  /** Parts of the service itself, by their names. */
  get settings(): Readonly<Record<string, unknown>> {
    return (this.#read(SETTINGS) ?? {}) as Readonly<Record<string, unknown>>;
  }

  put(key: SystemKey, record: ServedSystemRecord): void {
    this.#write(nameOf(key), record);
  }

  putSettings(settings: Readonly<Record<string, unknown>>): void {
    this.#write(SETTINGS, settings);
  }

  remove(key: SystemKey): void {
    const path = join(this.#folder, nameOf(key));
    for (const name of [path, partOf(path)]) rmSync(name, { force: true });
  }

  #names(): string[] {
    try {
      return readdirSync(this.#folder).filter((name) => name.endsWith('.copy'));
    } catch {
      return [];
    }
  }

  /** @returns undefined for what is not as it was written */
  #read(name: string): unknown {
    try {
      const [sum, text] = readFileSync(join(this.#folder, name), 'utf8').split('\n', 2);
      return text !== undefined && sum === sumOf(text) ? JSON.parse(text) : undefined;
    } catch {
      return undefined;
    }
  }

  #write(name: string, value: unknown): void {
    const path = join(this.#folder, name);
    const part = partOf(path);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const text = JSON.stringify(value);
    writeFileSync(part, `${sumOf(text)}\n${text}`, { mode: 0o600 });
    renameSync(part, path);
  }
}

/** Where a copy is written before it is put in its place. */
function partOf(path: string): string {
  return `${path}.part`;
}

/** Ids may have any characters, and be too long for a name. */
function nameOf({ space, id }: SystemKey): string {
  return `${sumOf(`${space}\n${id}`).slice(0, 32)}.copy`;
}

function sumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
