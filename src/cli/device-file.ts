import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { PciDevice } from '../device/pci-device.ts';
import { DeviceLoadError, loadDevice } from '../hdv/load-device.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { loadLimitMs, loadTooLong } from '../transport/load-limit.ts';
import { ExitCode, presentFailure } from './failure.ts';
import { startLoadLimit } from './load-limit.ts';
import { loadTypeScript } from './typescript.ts';
import { UsageError } from './usage-error.ts';

/** A device file that is there. Nothing of it has run. */
export interface DeviceModule {
  readonly module: URL;
  /** As the user gave it. */
  readonly path: string;
  readonly exportName: string | undefined;
}

/** A device file that has been looked at: it loads, and its device can be built. */
export interface DeviceFile extends DeviceModule {
  /** One instance, for its shape and its register names. It is attached to nothing. */
  readonly device: PciDevice;
  /** The function around that instance. */
  readonly function: PciFunction;
}

/**
 * Finds a device file of the user, for a worker that will load it.
 * @throws UsageError when there is no such file
 */
export async function findDeviceFile(path: string, exportName?: string): Promise<DeviceModule> {
  const file = path.startsWith('file:') ? fileURLToPath(path) : resolve(path);
  if (!existsSync(file)) {
    throw new UsageError(
      `Cannot open ${path}: there is no such file`,
      'give the path of a .ts or .js file',
    );
  }
  if (!statSync(file).isFile()) {
    throw new UsageError(
      `Cannot open ${path}: it is not a file`,
      'give the path of a .ts or .js file',
    );
  }
  await loadTypeScript();
  return { module: pathToFileURL(file), path, exportName };
}

/**
 * Loads a device file of the user: JavaScript, or TypeScript without a build step.
 * @param generation another number imports the file afresh, in this process
 * @throws UsageError when there is no such file, it does not load or never gets there, exports no device, or the device
 * is built wrong. A file that ends the process, or that has not been loaded after 10 s, is told on standard error; the
 * process then ends with 2.
 */
export async function openDeviceFile(
  path: string,
  exportName?: string,
  generation = 0,
): Promise<DeviceFile> {
  const { module } = await findDeviceFile(path, exportName);
  if (generation > 0) module.searchParams.set('generation', String(generation));
  const limitMs = loadLimit();
  using _limit = startLoadLimit({
    limitMs,
    text: presentFailure(tooLong(path, limitMs)).text,
    code: ExitCode.BAD_INPUT,
  });
  const device = await load(module, path, exportName, generation === 0);
  try {
    return { module, path, exportName, device, function: new PciFunction(device) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`Cannot use the device of ${path}: ${reason}`, undefined, { cause });
  }
}

/** Seconds that the module and its constructor may take, on this thread, where nothing else happens meanwhile. */
const LOAD_LIMIT_SECONDS = 10;

function loadLimit(): number {
  try {
    return loadLimitMs(LOAD_LIMIT_SECONDS);
  } catch (cause) {
    throw new UsageError((cause as Error).message, undefined, { cause });
  }
}

function tooLong(path: string, limitMs: number): UsageError {
  return new UsageError(loadTooLong(path, limitMs).message, 'leave what takes long to start()');
}

/** @param isAlone nothing else keeps the process alive meanwhile: what it would end on is the module's */
async function load(
  module: URL,
  path: string,
  exportName: string | undefined,
  isAlone: boolean,
): Promise<PciDevice> {
  // The module runs in this process: it may end it, or wait for something that nobody is going to do. Node would say
  // nothing in either case.
  const ended = (code: number): void => {
    if (SIGNAL_CODES.has(code)) return;
    process.stderr.write(
      `hdvkit: Cannot load ${path}: it called process.exit(${code})\n` +
        '  remedy: throw an error instead, or leave this to another file\n',
    );
    process.exitCode = ExitCode.BAD_INPUT;
  };
  let idle: () => void = () => undefined;
  const stuck = new Promise<never>((_resolve, reject) => {
    idle = () =>
      reject(
        new UsageError(
          `Cannot load ${path}: an await outside of its functions never ends`,
          'await only what something settles',
        ),
      );
  });
  process.on('exit', ended);
  if (isAlone) process.on('beforeExit', idle);
  try {
    return await Promise.race([loadDevice(module, exportName), stuck]);
  } catch (error) {
    throw loadFailure(error, path);
  } finally {
    process.off('exit', ended);
    process.off('beforeExit', idle);
  }
}

/** With these this command ends by itself, on a signal. */
const SIGNAL_CODES: ReadonlySet<number> = new Set([
  ExitCode.HUNG_UP,
  ExitCode.INTERRUPTED,
  ExitCode.TERMINATED,
]);

/** What the user is told when a device file does not load, here or on a worker, which keeps the error's name alone. */
export function loadFailure(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error.name !== DeviceLoadError.name) return error;
  return new UsageError(error.message, remedyFor(error, path), { cause: error });
}

/** What the message does not already say. */
function remedyFor({ message, cause }: Error, path: string): string | undefined {
  const code = (cause as { readonly code?: unknown } | undefined)?.code;
  if (code === 'ERR_MODULE_NOT_FOUND' && message.includes("'hdvkit'")) {
    return `npm install hdvkit, in the folder of ${path} or above it`;
  }
  if (message.includes('option export')) return 'name the class by --export';
  return undefined;
}
