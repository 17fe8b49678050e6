/**
 * The stand-in libraries as tests use them: where they are, what they were given, and how to make them misbehave.
 * They are test doubles in C (`test/windows/stand-ins/`), shared objects on Linux and DLLs on Windows.
 */

/** Handles that the stand-ins count. */
export type StandInHandleKind = 'operation' | 'system' | 'process' | 'host' | 'device' | 'aperture';

/** Where a rule bites: when the function is called, or in the operation that the call started. */
export type StandInPlace = 'call' | 'operation';

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
  /** Holds matching calls, or the completion of their operations, until {@link release}. */
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
  /** The guest ends by itself: `GracefulExit`, `UnexpectedExit` (with a failure) and so on. */
  endSystem(id: string, exitType: string, status?: number): void;
  /** A process of the system exits. */
  exitProcess(id: string, processId: number, exitCode: number): void;
  /**
   * Hostile: calls the event callback of the handle of this system that was closed last, as if closing had not drained it.
   * @returns false when there is none
   */
  callAfterClose(id: string, type: number, data?: string | null): boolean;
  /** Hostile: calls the completion callback of the operation closed last that concerned this system. */
  completeAfterClose(id: string): boolean;
  /** Handles that are open, of one kind, of one system or all. */
  openHandles(kind: StandInHandleKind, id?: string): number;
  /** Result documents that were handed out and not freed by LocalFree. */
  liveBlocks(): number;
  /** Ends the use; the libraries stay loaded. Rules and transcript of others are not touched. */
  close(): void;
}
