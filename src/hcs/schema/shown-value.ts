/**
 * Fields whose values are nobody's business but the guest's: what error messages, and with them logs, do not repeat, whatever
 * is wrong with them. Neither do they repeat what is in them.
 */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'CommandLine',
  'ConnectSecurityDescriptor',
  'BindSecurityDescriptor',
  'Cookie',
  'CredentialSpec',
  'DefaultBindSecurityDescriptor',
  'DefaultConnectSecurityDescriptor',
  'Environment',
  'KernelCmdLine',
  'OptionalData',
  'RegistryChanges',
]);

/** Whether one of the keys that lead to a place is that of a field whose value is not shown. */
export function isSecret(keys: readonly string[]): boolean {
  return keys.some((key) => SECRET_FIELDS.has(key));
}

/** Characters of a value that are shown. */
const LONGEST = 60;

/**
 * A value of a document for an error message. Objects and arrays have no content there, which may be secret.
 * @param secret whether the place of the value is one of {@link isSecret}
 */
export function shownValue(value: unknown, secret = false): string {
  if (Array.isArray(value)) return value.length === 0 ? '[]' : `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) {
    const { length } = Object.keys(value);
    return length === 0 ? '{}' : `an object with ${length} ${length === 1 ? 'key' : 'keys'}`;
  }
  if (secret && value !== null) return `a ${typeof value} that is not shown here`;
  const text =
    JSON.stringify(typeof value === 'string' ? value.slice(0, LONGEST) : value) ?? 'nothing';
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 3)}...` : text;
}

/** Characters around a place that V8 shows where JSON has a token that it does not expect there. */
const CONTEXT = 10;

/** What JSON.parse says of a text, without a part of it: the place as a number instead, where that can be told. */
export function jsonProblem(text: string, message: string): string {
  const told = /^Unexpected token .+?, (\.{3})?"([\s\S]*)"(\.{3})? is not valid JSON$/.exec(
    message,
  );
  if (told === null) return message;
  const [, before, part = '', after] = told;
  const start = text.indexOf(part);
  const isOne = start >= 0 && text.indexOf(part, start + 1) < 0;
  if (before !== undefined && isOne) return `Unexpected token at position ${start + CONTEXT}`;
  if (after === undefined || before !== undefined) return 'Unexpected token';
  return `Unexpected token at position ${part.length - CONTEXT}`;
}
