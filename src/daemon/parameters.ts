import { failure } from '../compute/failure.ts';

/** The parameters of one message, each checked as it is taken: what comes over a socket may be anything. */
export class Parameters {
  readonly #method: string;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(method: string, params: unknown) {
    this.#method = method;
    this.#values =
      typeof params === 'object' && params !== null && !Array.isArray(params)
        ? (params as Readonly<Record<string, unknown>>)
        : {};
  }

  get(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
  }

  /** @throws HcsError E_INVALIDARG */
  text(name: string): string {
    const value = this.get(name);
    if (typeof value === 'string') return value;
    throw this.#wrong(name, 'text');
  }

  /** @throws HcsError E_INVALIDARG */
  textOrNull(name: string): string | null {
    const value = this.get(name);
    if (value === null || typeof value === 'string') return value;
    throw this.#wrong(name, 'text or null');
  }

  /** Text; undefined where there is none, or null. @throws HcsError E_INVALIDARG */
  optionalText(name: string): string | undefined {
    const value = this.get(name);
    if (value === null || value === undefined) return undefined;
    if (typeof value === 'string') return value;
    throw this.#wrong(name, 'text or null');
  }

  /** A number of the client for something: 1 to 2^53 - 1. @throws HcsError E_INVALIDARG */
  number(name: string): number {
    const value = this.get(name);
    if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
    throw this.#wrong(name, 'a whole number above 0');
  }

  /** @throws HcsError E_INVALIDARG */
  texts(name: string): readonly (string | null)[] {
    const value = this.get(name);
    const isText = (item: unknown): boolean => item === null || typeof item === 'string';
    if (Array.isArray(value) && value.length < 16 && value.every(isText)) return value;
    throw this.#wrong(name, 'an array of texts');
  }

  #wrong(name: string, wanted: string): Error {
    const message = `parameter ${name} of ${this.#method} is not ${wanted}`;
    return failure(this.#method, 'E_INVALIDARG', message);
  }
}
