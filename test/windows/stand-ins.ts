/**
 * The stand-in libraries as tests use them: where they are, what they were given, and how to make them misbehave.
 * They are test doubles in C (`test/windows/stand-ins/`), shared objects on Linux and DLLs on Windows.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NativeLibrary } from '../../src/ffi/native-library.ts';
import { systemLibrary } from '../../src/ffi/windows-system.ts';
import { COMPUTE_CORE_ABI } from '../../src/hcs/native/compute-core-abi.ts';
import { buildStandIns, canBuildStandIns, standInFile } from './build-stand-ins.ts';
import { COMPUTE_CONTROL_ABI, RECORDER_ABI, SYSTEM_CONTROL_ABI } from './stand-in-control.ts';

/** Handles that the stand-ins count. */
export type StandInHandleKind = 'operation' | 'system' | 'process' | 'host' | 'device' | 'aperture';

/**
 * Where a rule bites: when the function is called, in the operation that the call started, or just before a call that
 * was accepted returns (holds and delays only).
 */
export type StandInPlace = 'call' | 'operation' | 'return';

/** Objects of the Windows system that its stand-in counts. */
export type StandInSystemObject =
  | 'event'
  | 'section'
  | 'view'
  | 'memory'
  | 'wait'
  | 'thread'
  | 'apartment';

/** To which calls a rule applies. */
export interface StandInRuleOptions {
  /** Only calls that concern this compute system; default: any. */
  readonly id?: string;
  /** Default: `operation` for functions that take one, else `call`. */
  readonly at?: StandInPlace;
}

/** What {@link StandIns.transcript} shows. */
export interface TranscriptOptions {
  /** Only lines that concern this compute system. */
  readonly id?: string;
  /** Functions whose lines are left out: those whose number depends on timing, such as waits in slices. */
  readonly leaveOut?: readonly string[];
}

/** The stand-in libraries, loaded in this process. Several of these share one set of libraries. */
export interface StandIns {
  /** Paths, as `createWindowsHost({ libraries })` takes them. `system` is absent on Windows: the real one serves. */
  readonly libraries: {
    readonly computecore: string;
    readonly computestorage: string;
    readonly vmdevicehost: string;
    readonly system?: string;
  };
  /**
   * One line per call, in the order in which the calls began: `Name(arguments) = 0xHRESULT, outputs`. Numbers are
   * hexadecimal, strings JSON text, handles small names (`operation1`) counted in the order in which this text first
   * shows them. Lines that begin with `MISUSE` report what no caller may do. Lines of callbacks begin with `callback`.
   */
  transcript(options?: TranscriptOptions): string[];
  /** Lines of the transcript that report misuse: double closes, use after close, an operation used while in flight. */
  misuses(options?: TranscriptOptions): string[];
  /** Forgets the transcript. */
  clear(): void;
  /** Lets the next matching call, or its operation, fail, with a result document if given. */
  failNext(
    name: string,
    hresult: number,
    options?: StandInRuleOptions & { readonly document?: string },
  ): void;
  /**
   * Holds matching calls, or the completion of their operations, until {@link release}. Exit events are held as the
   * operation of `HcsEventSystemExited`.
   */
  hold(name: string, options?: StandInRuleOptions): void;
  /** Lets go what is held under this name, and ends the hold. */
  release(name: string, options?: StandInRuleOptions): void;
  /** How many calls or operations are held under this name now. */
  held(name: string, options?: StandInRuleOptions): number;
  /** Delays every matching call or completion by so many milliseconds; 0 ends that. */
  delay(name: string, ms: number, options?: StandInRuleOptions): void;
  /** Forgets all rules: failures, holds, delays. What is held goes on. */
  clearRules(): void;
  /** Delivers an event to every handle of the system that has a callback. @returns how many there were */
  raiseEvent(id: string, type: number, data?: string | null): number;
  /** The guest ends by itself: `GracefulExit`, `UnexpectedExit` (with a failure) and so on. @returns whether it lived */
  endSystem(id: string, exitType: string, status?: number): boolean;
  /** A process of the system exits. @returns whether there was such a process */
  exitProcess(id: string, processId: number, exitCode: number): boolean;
  /** Lets FlexibleIov devices of this system be removed; as a rule the answer is 0x80070032. */
  allowRemoval(id: string): void;
  /**
   * Hostile: calls the event callback of the handle of this system that was closed last, as if closing had not drained it.
   * @returns false when there is none
   */
  callAfterClose(id: string, type: number, data?: string | null): boolean;
  /** Hostile: calls the completion callback of the operation closed last that concerned this system. */
  completeAfterClose(id: string): boolean;
  /** How many calls that close or unregister wait for a callback to return. */
  waitingForCallbacks(): number;
  /** Handles that are open, of one kind, of one system or all. */
  openHandles(kind: StandInHandleKind, id?: string): number;
  /** Result documents that were handed out and not freed by LocalFree. */
  liveBlocks(): number;
  /** How many objects of this kind the system has; undefined on Windows, whose own system serves. */
  systemObjects(kind: StandInSystemObject): number | undefined;
  /** Takes back the holds and delays that were made through it. The libraries stay loaded. */
  close(): void;
}

const onWindows = process.platform === 'win32';

/** Why there are no stand-ins on this machine, for `test.runIf`; undefined where there are, and always in CI. */
export const standInsUnavailable: string | undefined = unavailable();

function unavailable(): string | undefined {
  if (process.env.CI === 'true') return undefined;
  if (onWindows) {
    const path = libraryPath('', 'stand-in-recorder');
    return existsSync(path) ? undefined : `${path} is missing`;
  }
  if (process.platform !== 'linux') return `the stand-ins are for Linux and Windows only`;
  return canBuildStandIns('elf') ? undefined : 'gcc is not installed';
}

/** Where a library is: on Windows in the folder that HDVKIT_STAND_INS names, or where Windows keeps the real one. */
function libraryPath(folder: string, name: string): string {
  if (!onWindows) return join(folder, standInFile('elf', name));
  const file = standInFile('dll', name);
  const { HDVKIT_STAND_INS } = process.env;
  return HDVKIT_STAND_INS === undefined ? systemLibrary(file) : join(HDVKIT_STAND_INS, file);
}

/**
 * Builds the stand-ins if need be, and loads them into this process.
 * @throws Error with the compiler's output
 */
export function openStandIns(): StandIns {
  const folder = onWindows ? '' : buildStandIns('elf');
  const path = (name: string): string => libraryPath(folder, name);
  // First, so that the others find it loaded, wherever they are.
  const recorder = NativeLibrary.open(path('stand-in-recorder'), RECORDER_ABI);
  recorder.load();
  return new LoadedStandIns(
    {
      computecore: path('computecore'),
      computestorage: path('computestorage'),
      vmdevicehost: path('vmdevicehost'),
      ...(onWindows ? {} : { system: path('system') }),
    },
    recorder,
  );
}

const PLACES = { call: 0, operation: 1, return: 2 } as const;

type Rule = readonly [name: string, id: string | null, at: number];

class LoadedStandIns implements StandIns {
  readonly libraries: StandIns['libraries'];
  readonly #recorder: NativeLibrary<typeof RECORDER_ABI>;
  readonly #compute: NativeLibrary<typeof COMPUTE_CONTROL_ABI>;
  readonly #rules: Rule[] = [];

  constructor(libraries: StandIns['libraries'], recorder: NativeLibrary<typeof RECORDER_ABI>) {
    this.libraries = libraries;
    this.#recorder = recorder;
    this.#compute = NativeLibrary.open(libraries.computecore, COMPUTE_CONTROL_ABI);
  }

  transcript({ id, leaveOut = [] }: TranscriptOptions = {}): string[] {
    const read = this.#recorder.function('StandInTranscript');
    let bytes = Buffer.alloc(64 * 1024);
    let length = read(id ?? null, bytes, bytes.length);
    while (length > bytes.length) {
      bytes = Buffer.alloc(2 * length);
      length = read(id ?? null, bytes, bytes.length);
    }
    const lines = bytes.toString('utf8', 0, length).split('\n').slice(0, -1);
    return lines.filter((line) => !leaveOut.includes(/^\w+/.exec(line)?.[0] ?? ''));
  }

  misuses(options: TranscriptOptions = {}): string[] {
    return this.transcript(options).filter((line) => line.startsWith('MISUSE'));
  }

  clear(): void {
    this.#recorder.function('StandInClearTranscript')();
  }

  failNext(
    name: string,
    hresult: number,
    options: StandInRuleOptions & { readonly document?: string } = {},
  ): void {
    const fail = this.#recorder.function('StandInFailNext');
    fail(...rule(name, options), hresult, options.document ?? null);
  }

  hold(name: string, options: StandInRuleOptions = {}): void {
    const made = rule(name, options);
    this.#rules.push(made);
    this.#recorder.function('StandInHold')(...made);
  }

  release(name: string, options: StandInRuleOptions = {}): void {
    this.#recorder.function('StandInRelease')(...rule(name, options));
  }

  held(name: string, options: StandInRuleOptions = {}): number {
    return this.#recorder.function('StandInHeld')(...rule(name, options));
  }

  delay(name: string, ms: number, options: StandInRuleOptions = {}): void {
    const made = rule(name, options);
    this.#rules.push(made);
    this.#recorder.function('StandInDelay')(...made, ms);
  }

  clearRules(): void {
    this.#recorder.function('StandInClearRules')();
  }

  raiseEvent(id: string, type: number, data: string | null = null): number {
    return this.#compute.function('StandInRaiseEvent')(id, type, data);
  }

  endSystem(id: string, exitType: string, status = 0): boolean {
    return this.#compute.function('StandInEndSystem')(id, exitType, status) === 1;
  }

  exitProcess(id: string, processId: number, exitCode: number): boolean {
    return this.#compute.function('StandInExitProcess')(id, processId, exitCode) === 1;
  }

  allowRemoval(id: string): void {
    this.#compute.function('StandInAllowRemoval')(id);
  }

  callAfterClose(id: string, type: number, data: string | null = null): boolean {
    return this.#compute.function('StandInCallAfterClose')(id, type, data) === 1;
  }

  completeAfterClose(id: string): boolean {
    return this.#compute.function('StandInCompleteAfterClose')(id) === 1;
  }

  waitingForCallbacks(): number {
    return this.#compute.function('StandInWaitingForCallbacks')();
  }

  openHandles(kind: StandInHandleKind, id?: string): number {
    return this.#recorder.function('StandInOpenHandles')(kind, id ?? null);
  }

  liveBlocks(): number {
    return this.#recorder.function('StandInLiveBlocks')();
  }

  systemObjects(kind: StandInSystemObject): number | undefined {
    const { system } = this.libraries;
    if (system === undefined) return undefined;
    return NativeLibrary.open(system, SYSTEM_CONTROL_ABI).function('StandInSystemObjects')(kind);
  }

  close(): void {
    for (const made of this.#rules.splice(0)) {
      this.#recorder.function('StandInRelease')(...made);
      this.#recorder.function('StandInDelay')(...made, 0);
    }
  }
}

function rule(name: string, { id, at }: StandInRuleOptions): Rule {
  return [name, id ?? null, PLACES[at ?? defaultPlace(name)]];
}

/** Calls that start an operation, and events. */
function defaultPlace(name: string): StandInPlace {
  const functions: Readonly<Record<string, { parameters: readonly (readonly string[])[] }>> =
    COMPUTE_CORE_ABI.functions;
  const declared = functions[name];
  if (declared === undefined) return name.startsWith('HcsEvent') ? 'operation' : 'call';
  const starts = declared.parameters.some(([type]) => type === 'HCS_OPERATION');
  return starts && !name.includes('Operation') ? 'operation' : 'call';
}
