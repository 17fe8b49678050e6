import { describeHresult, formatHresult, hresultName } from './hresult.ts';

/** One entry of `ResultError.ErrorEvents`: what a component of the service reported (schema 2.4). */
export interface HcsErrorEvent {
  readonly Message?: string;
  readonly StackTrace?: string;
  readonly Provider?: string;
  readonly EventId?: number;
  readonly Flags?: number;
  readonly Source?: string;
  readonly Data?: readonly unknown[];
}

/** What {@link HcsError} is made of. */
export interface HcsErrorOptions {
  /** Name of the function that failed, as exported by the library: `'HcsStartComputeSystem'`. */
  readonly function: string;
  /** Signed or unsigned. */
  readonly hresult: number;
  /**
   * The reason; without it, the `ErrorMessage` of the document, the first `Message` of its events or the meaning of the
   * HRESULT.
   */
  readonly message?: string | undefined;
  /** Result document as text: a ResultError, when the service gave one. */
  readonly document?: string | undefined;
  readonly cause?: unknown;
}

/**
 * A function of the Host Compute System failed, at once or through its operation.
 *
 * @example
 * ```ts
 * import { HcsError, HRESULT } from 'hdvkit/hcs';
 *
 * const error = new HcsError({ function: 'HcsStartComputeSystem', hresult: HRESULT.HCS_E_INVALID_STATE });
 * console.log(error.code); // HCS_E_INVALID_STATE
 * ```
 */
export class HcsError extends Error {
  override readonly name = 'HcsError';
  /** Name of the function that failed: `'HcsStartComputeSystem'`. */
  readonly function: string;
  /** The HRESULT, unsigned: `0x80370105`. */
  readonly hresult: number;
  /** Name of the HRESULT (`'HCS_E_INVALID_STATE'`), or its number as text when it has no known name. */
  readonly code: string;
  /** Why it failed, without the names and numbers around it in `message`. */
  readonly reason: string;
  /** `ErrorEvents` of the result document, or none. */
  readonly events: readonly HcsErrorEvent[];
  /** The result document as the service gave it: a ResultError. */
  readonly document: string | undefined;
  /** JSON path of the field that was refused (`'$.VirtualMachine.Devices'`), where the reason or an event names one. */
  readonly path: string | undefined;

  constructor({ function: name, hresult, message, document, cause }: HcsErrorOptions) {
    const result = parseResult(document);
    const reason = message ?? result.message ?? describeHresult(hresult);
    const known = hresultName(hresult);
    super(
      message === undefined && result.message === undefined
        ? `${name} failed: ${reason}`
        : `${name} failed: ${reason} (${known === undefined ? '' : `${known} `}${formatHresult(hresult)})`,
      cause === undefined ? undefined : { cause },
    );
    this.function = name;
    this.hresult = hresult >>> 0;
    this.code = known ?? formatHresult(hresult);
    this.reason = reason;
    this.events = result.events;
    this.document = document;
    this.path = pathIn([reason, ...result.events.flatMap(eventTexts)]);
  }
}

/** A path as messages quote it: `$`, then `.name`, `["name"]` or `[0]`, any number of times. */
const JSON_PATH = /(?<![\w$])\$(?:\.[A-Za-z_]\w*|\[(?:\d+|"[^"]*"|'[^']*')\])*/;

function pathIn(texts: readonly string[]): string | undefined {
  for (const text of texts) {
    const [path] = JSON_PATH.exec(text) ?? [];
    if (path !== undefined) return path;
  }
  return undefined;
}

function eventTexts({ Message, Data }: HcsErrorEvent): string[] {
  const values = Array.isArray(Data)
    ? Data.map((item) => (item as { Value?: unknown })?.Value)
    : [];
  return [Message, ...values].filter((text) => typeof text === 'string');
}

function isObject(value: unknown): value is HcsErrorEvent {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function parseResult(document: string | undefined): {
  readonly message?: string;
  readonly events: readonly HcsErrorEvent[];
} {
  if (document === undefined) return { events: [] };
  let parsed: unknown;
  try {
    parsed = JSON.parse(document);
  } catch {
    return { events: [] };
  }
  if (typeof parsed !== 'object' || parsed === null) return { events: [] };
  const { ErrorMessage, ErrorEvents } = parsed as { ErrorMessage?: unknown; ErrorEvents?: unknown };
  const events = (Array.isArray(ErrorEvents) ? ErrorEvents : []).filter(isObject);
  const message = [ErrorMessage, ...events.map(({ Message }) => Message)].find(isText);
  return message === undefined ? { events } : { message, events };
}
