/** An error as it travels between threads: structured clones lose the class and every field that is not standard. */
export interface ErrorMessage {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly cause: ErrorMessage | undefined;
  /** `code` and `hresult` where the error had them. */
  readonly fields: Readonly<Record<string, string | number>>;
}

const KEPT_FIELDS = ['code', 'hresult', 'function', 'errno', 'syscall'] as const;

/** Makes any thrown value ready to be posted to another thread. */
export function encodeError(thrown: unknown): ErrorMessage {
  if (!(thrown instanceof Error)) {
    return {
      name: 'Error',
      message: describe(thrown),
      stack: undefined,
      cause: undefined,
      fields: {},
    };
  }
  const fields: Record<string, string | number> = {};
  for (const key of KEPT_FIELDS) {
    const value = (thrown as unknown as Record<string, unknown>)[key];
    if (typeof value === 'string' || typeof value === 'number') fields[key] = value;
  }
  return {
    name: thrown.name,
    message: thrown.message,
    stack: thrown.stack,
    cause: thrown.cause === undefined ? undefined : encodeError(thrown.cause),
    fields,
  };
}

/** The error on the receiving thread: an `Error` with the name, stack, cause and fields of the one that was thrown. */
export function decodeError(message: ErrorMessage): Error {
  const cause = message.cause === undefined ? undefined : decodeError(message.cause);
  const Class =
    message.name === 'TypeError' ? TypeError : message.name === 'RangeError' ? RangeError : Error;
  const error = new Class(message.message, cause === undefined ? undefined : { cause });
  if (error.name !== message.name) {
    Object.defineProperty(error, 'name', { value: message.name, configurable: true });
  }
  if (message.stack !== undefined) error.stack = message.stack;
  return Object.assign(error, message.fields);
}

function describe(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return 'something that has no text was thrown';
  }
}
