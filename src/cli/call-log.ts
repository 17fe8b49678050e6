/** Calls that only make, read and free operations and handles: a transcript of what happens needs none of them. */
const PLUMBING = new Set([
  'HcsCreateOperation',
  'HcsCloseOperation',
  'HcsGetOperationResult',
  'HcsSetComputeSystemCallback',
  'HcsWaitForComputeSystemExit',
]);

const LONGEST_TEXT = 72;

/**
 * A contract that reports each call of an Hcs or Hdv function as it is made, and does it.
 * @param report receives the call as one line: `HcsStartComputeSystem(system, operation, null)`
 */
export function logCalls<Contract extends object>(
  contract: Contract,
  report: (line: string) => void,
): Contract {
  return new Proxy(contract, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function' || !/^H[cd][sv][A-Z]/.test(String(name))) {
        return typeof member === 'function' ? member.bind(target) : member;
      }
      return (...args: readonly unknown[]): unknown => {
        if (!PLUMBING.has(String(name)))
          report(`${String(name)}(${args.map(formatArgument).join(', ')})`);
        return member.apply(target, args);
      };
    },
  });
}

function formatArgument(value: unknown): string {
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (typeof value === 'number') return value > 255 ? `0x${value.toString(16)}` : String(value);
  if (typeof value === 'string')
    return shorten(value.startsWith('{') ? value : JSON.stringify(value));
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === 'function') return 'callback';
  if (typeof value === 'object' && value !== null) return value.constructor.name;
  return String(value);
}

function shorten(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT - 1)}…`;
}
