import { HcsError } from '../../hcs/hcs-error.ts';
import type { HresultName } from '../../hcs/hresult.ts';
import { ExitCode, type Presentation, presentFailure } from '../failure.ts';

/**
 * A failure of a command of `hcs`: what the service said, by function and name of the HRESULT, with the remedy that
 * `hcs error` knows. What a service says ends with 1; what the user gave, with 2.
 * @param json as one line of JSON, for programs
 */
export async function presentHcsFailure(error: unknown, json = false): Promise<Presentation> {
  const said = serviceErrorOf(error);
  const remedy = said === undefined ? undefined : await remedyFor(said);
  const presented = presentFailure(error, { program: 'hcs', remedy });
  const code = said === undefined ? presented.code : ExitCode.FAILED;
  // What commander has printed is text.
  if (!json || presented.text === '') return { text: presented.text, code };
  const line = {
    error: {
      message: error instanceof Error ? error.message : String(error),
      ...(said === undefined
        ? {}
        : { function: said.function, hresult: hex(said.hresult), code: said.code }),
      ...(said?.path === undefined ? {} : { path: said.path }),
      ...(remedyIn(error, remedy) ?? {}),
    },
    exitCode: code,
  };
  return { text: `${JSON.stringify(line)}\n`, code };
}

/** The error of the service in a chain of causes. */
function serviceErrorOf(error: unknown): HcsError | undefined {
  if (error instanceof HcsError) return error;
  if (!(error instanceof Error) || error.name === 'UsageError') return undefined;
  return serviceErrorOf(error.cause);
}

/** Remedies that a command line has, where those for programs name functions. */
const REMEDIES: Readonly<Record<string, string>> = {
  HCS_E_SYSTEM_NOT_FOUND: 'hcs list shows the systems that there are',
  HCS_E_INVALID_STATE: 'hcs show tells the state that it is in',
  HCS_E_SERVICE_DISCONNECT:
    'hcs list shows the systems that there are now; those of the host linux outlive their service',
  ...(process.platform === 'win32'
    ? {}
    : {
        HCS_E_ACCESS_DENIED: 'ask whoever created the system, or runs the service, to let you in',
      }),
};

async function remedyFor({ code, function: name }: HcsError): Promise<string | undefined> {
  if (code === 'ERROR_DISK_FULL' && name === 'HcsGrantVmAccess') {
    return 'end systems that have the file, or give this one a copy of it: its access control list is full';
  }
  if (Object.hasOwn(REMEDIES, code)) return REMEDIES[code];
  const { explanationOf } = await import('../errors/explanations.ts');
  return explanationOf(code as HresultName)?.remedy;
}

function remedyIn(
  error: unknown,
  otherwise: string | undefined,
): { readonly remedy: string } | undefined {
  const own = (error as { readonly remedy?: unknown } | null)?.remedy;
  const remedy = typeof own === 'string' && own !== '' ? own : otherwise;
  return remedy === undefined ? undefined : { remedy };
}

function hex(hresult: number): string {
  return `0x${hresult.toString(16).toUpperCase().padStart(8, '0')}`;
}
