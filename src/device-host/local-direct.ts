import type { HANDLE } from '../hcs/core/handles.ts';
import { HDV_DOORBELL_FLAGS, HDV_MMIO_MAPPING_FLAGS } from '../hdv/hdv-constants.ts';
import { HdvError, type HdvResultName } from '../hdv/hdv-error.ts';
import { DirectTableError, type DoorbellMatch } from '../pci/direct-table.ts';
import type { LocalInstance, LocalPlatform } from './local-platform.ts';

const PAGE = 4096;

const ANY_VALUE = HDV_DOORBELL_FLAGS.HDV_DOORBELL_FLAG_TRIGGER_ANY_VALUE;
/** Bytes of a write by the size in the flags, HDV_DOORBELL_FLAG_TRIGGER_SIZE_ANY first. */
const WIDTHS = [0, 1, 2, 4, 8] as const;
const { HdvMmioMappingFlagWriteable: WRITEABLE, HdvMmioMappingFlagExecutable: EXECUTABLE } =
  HDV_MMIO_MAPPING_FLAGS;

const CODES: Readonly<Record<DirectTableError['kind'], HdvResultName>> = {
  invalid: 'E_INVALIDARG',
  taken: 'ERROR_ALREADY_EXISTS',
  absent: 'ERROR_NOT_FOUND',
};

/** Doorbells and mapped ranges of one instance, as its callers asked for them by the Hdv functions. */
export class LocalDirect {
  readonly #instance: LocalInstance;
  readonly #platform: LocalPlatform;
  /** Events and sections in use, by what they are used for. */
  readonly #opened = new Map<string, Disposable>();

  constructor(instance: LocalInstance, platform: LocalPlatform) {
    this.#instance = instance;
    this.#platform = platform;
  }

  registerDoorbell(
    name: string,
    bar: number,
    offset: number,
    triggerValue: bigint,
    flags: number,
    event: HANDLE,
  ): void {
    const match = matchOf(name, bar, offset, triggerValue, flags);
    const { widestWrite } = this.#platform;
    if (match.width > widestWrite) {
      throw new HdvError(
        name,
        'ERROR_NOT_SUPPORTED',
        `no guest of this host writes ${match.width} bytes at once: it would never ring; use at most ${widestWrite}`,
      );
    }
    const opened = this.#openEvent(name, event);
    this.#keep(name, matchText(match), opened, () =>
      this.#instance.direct.addDoorbell(match, opened.signal),
    );
  }

  unregisterDoorbell(
    name: string,
    bar: number,
    offset: number,
    triggerValue: bigint,
    flags: number,
  ): void {
    const match = matchOf(name, bar, offset, triggerValue, flags);
    this.#giveUp(name, matchText(match), () => this.#instance.direct.removeDoorbell(match));
  }

  registerDoorbellPage(name: string, bar: number, page: number, event: HANDLE): void {
    const opened = this.#openEvent(name, event);
    this.#keep(name, `page ${bar} ${page}`, opened, () =>
      this.#instance.direct.addDoorbellPage(bar, page * PAGE, opened.signal),
    );
  }

  unregisterDoorbellPage(name: string, bar: number, page: number): void {
    this.#giveUp(name, `page ${bar} ${page}`, () =>
      this.#instance.direct.removeDoorbellPage(bar, page * PAGE),
    );
  }

  createRange(
    name: string,
    bar: number,
    page: number,
    pages: number,
    flags: number,
    handle: HANDLE,
    sectionPage: number,
  ): void {
    if ((flags & ~(WRITEABLE | EXECUTABLE)) !== 0) {
      throw new HdvError(name, 'E_INVALIDARG', `the flags 0x${flags.toString(16)} are not known`);
    }
    for (const [what, value, least] of [
      ['offset', page, 0],
      ['length', pages, 1],
      ['offset in the section', sectionPage, 0],
    ] as const) {
      if (Number.isSafeInteger(value * PAGE) && Number.isInteger(value) && value >= least) continue;
      throw new HdvError(name, 'E_INVALIDARG', `the ${what} of ${value} pages is not allowed`);
    }
    const length = pages * PAGE;
    const section = this.#platform.openSection(this.#instance, handle, sectionPage * PAGE, length);
    if (section === undefined) {
      throw new HdvError(
        name,
        'E_HANDLE',
        `handle ${handle} is no section of this host that has ${length} bytes at ${sectionPage * PAGE}`,
      );
    }
    const writable = (flags & WRITEABLE) !== 0;
    this.#keep(name, `range ${bar} ${page}`, section, () =>
      this.#instance.direct.addRange(bar, page * PAGE, { ...section.memory, writable }),
    );
  }

  destroyRange(name: string, bar: number, page: number): void {
    if (this.#platform.isHeld?.(this.#instance, bar, page * PAGE) === true) {
      throw new HdvError(
        name,
        'ERROR_NOT_SUPPORTED',
        `the virtual machine has mapped the range at page ${page} of BAR ${bar} when it got the device, and keeps it until the device is removed: create ranges that come and go after the attach`,
      );
    }
    this.#giveUp(name, `range ${bar} ${page}`, () =>
      this.#instance.direct.removeRange(bar, page * PAGE),
    );
  }

  /** The instance has left its machine: nothing stands there any more. */
  clear(): void {
    if (this.#opened.size === 0) return;
    this.#instance.direct.clear();
    for (const opened of this.#opened.values()) opened[Symbol.dispose]();
    this.#opened.clear();
  }

  #openEvent(name: string, handle: HANDLE): NonNullable<ReturnType<LocalPlatform['openEvent']>> {
    const opened = this.#platform.openEvent(handle);
    if (opened !== undefined) return opened;
    throw new HdvError(name, 'E_HANDLE', `handle ${handle} is no event of this host`);
  }

  #keep(name: string, key: string, opened: Disposable, add: () => void): void {
    try {
      add();
    } catch (error) {
      opened[Symbol.dispose]();
      throw hdvError(name, error);
    }
    this.#opened.set(key, opened);
  }

  #giveUp(name: string, key: string, remove: () => void): void {
    try {
      remove();
    } catch (error) {
      throw hdvError(name, error);
    }
    this.#opened.get(key)?.[Symbol.dispose]();
    this.#opened.delete(key);
  }
}

/** @throws HdvError E_INVALIDARG for flags or a value that there are not */
function matchOf(
  name: string,
  bar: number,
  offset: number,
  triggerValue: bigint,
  flags: number,
): DoorbellMatch {
  const isAny = (flags & ANY_VALUE) !== 0;
  const size = (flags & ~ANY_VALUE) >>> 0;
  const width = WIDTHS[size];
  if (width === undefined || !Number.isInteger(flags)) {
    throw new HdvError(
      name,
      'E_INVALIDARG',
      `the flags 0x${flags.toString(16)} are not known: they are a size of 0 to 4, and HDV_DOORBELL_FLAG_TRIGGER_ANY_VALUE`,
    );
  }
  return { bar, offset, width, value: isAny ? undefined : triggerValue };
}

function matchText({ bar, offset, width, value }: DoorbellMatch): string {
  return `doorbell ${bar} ${offset} ${width} ${value}`;
}

function hdvError(name: string, error: unknown): unknown {
  if (!(error instanceof DirectTableError)) return error;
  return new HdvError(name, CODES[error.kind], error.message, { cause: error });
}
