import { registerCallback } from '../../src/ffi/native-callback.ts';
import { NativeLibrary } from '../../src/ffi/native-library.ts';
import { readStructAt } from '../../src/ffi/native-struct.ts';
import { structLayout } from '../../src/ffi/struct-layout.ts';
import { readWideString } from '../../src/ffi/wide-string.ts';
import { type WindowsSystem, windowsSystem } from '../../src/ffi/windows-system.ts';
import { COMPUTE_CORE_ABI } from '../../src/hcs/native/compute-core-abi.ts';
import type { StandIns } from './stand-ins.ts';

/** GENERIC_ALL */
export const GENERIC_ALL = 0x1000_0000;

const EVENT = structLayout(COMPUTE_CORE_ABI, 'HCS_EVENT');

/** What a completion or event callback was called with. */
export interface RawCall {
  /** `completion`, or the type of the event. */
  readonly type: 'completion' | number;
  readonly operation: number;
  readonly data: string | null;
  readonly context: number;
  readonly thread: number;
}

/** computecore.dll as C has it, for tests of its stand-in: handles are numbers, results HRESULTs. */
export class RawCompute {
  readonly library: NativeLibrary<typeof COMPUTE_CORE_ABI>;
  readonly system: WindowsSystem;
  /** Every callback so far, in order. */
  readonly calls: RawCall[] = [];
  /** Runs inside each callback, before it returns to native code. */
  inCallback: (call: RawCall) => void = () => {};
  readonly completion: number;
  readonly event: number;

  constructor({ libraries }: StandIns) {
    this.library = NativeLibrary.open(libraries.computecore, COMPUTE_CORE_ABI);
    this.system = windowsSystem(libraries.system);
    this.completion = registerCallback(
      COMPUTE_CORE_ABI,
      'HCS_OPERATION_COMPLETION',
      (operation, context) => {
        this.#called('completion', Number(operation), null, Number(context));
      },
    );
    this.event = registerCallback(COMPUTE_CORE_ABI, 'HCS_EVENT_CALLBACK', (event, context) => {
      const { Type = 0, EventData = 0, Operation = 0 } = readStructAt(EVENT, event);
      this.#called(Number(Type), Number(Operation), readWideString(EventData), Number(context));
    });
  }

  #called(type: RawCall['type'], operation: number, data: string | null, context: number): void {
    const call = { type, operation, data, context, thread: this.system.GetCurrentThreadId() };
    this.calls.push(call);
    this.inCallback(call);
  }

  /** Resolves to the first callback of this type, with this data if given; the limit is the test's own. */
  async called(type: RawCall['type'], data?: string): Promise<RawCall> {
    for (;;) {
      const found = this.calls.find(
        (call) => call.type === type && (data === undefined || call.data === data),
      );
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  createOperation(callback = 0, context = 0): number {
    const create = this.library.function('HcsCreateOperation');
    return Number(create(context, callback));
  }

  closeOperation(operation: number): void {
    this.library.function('HcsCloseOperation')(operation);
  }

  /** @returns the handle, 0 on failure */
  create(id: string, document: unknown, operation: number): { result: number; handle: number } {
    const handle: [number | bigint] = [0];
    const text = typeof document === 'string' ? document : JSON.stringify(document);
    const create = this.library.function('HcsCreateComputeSystem');
    const result = create(id, text, operation, null, handle);
    return { result, handle: Number(handle[0]) };
  }

  /** A call on a system with an operation and one string. */
  call(name: SystemCall, system: number, operation: number, text: string | null = null): number {
    return this.library.function(name)(system, operation, text);
  }

  /** Waits on another thread. */
  async wait(
    operation: number,
    timeoutMs = 0xffff_ffff,
  ): Promise<{ result: number; document: string | null }> {
    const out: [number | bigint] = [0];
    const wait = this.library.function('HcsWaitForOperationResult');
    const result = await wait.async(operation, timeoutMs, out);
    return { result, document: this.system.takeString(out[0]) };
  }

  /** The same call, made and waited for, with an operation of its own. */
  async run(
    name: SystemCall,
    system: number,
    text: string | null = null,
  ): Promise<{ result: number; document: string | null }> {
    const operation = this.createOperation();
    this.call(name, system, operation, text);
    const ended = await this.wait(operation);
    this.closeOperation(operation);
    return ended;
  }

  /** Closes on another thread, as closing waits for callbacks. */
  async close(system: number): Promise<void> {
    await this.library.function('HcsCloseComputeSystem').async(system);
  }
}

/** Functions of (system, operation, text). */
export type SystemCall =
  | 'HcsStartComputeSystem'
  | 'HcsShutDownComputeSystem'
  | 'HcsTerminateComputeSystem'
  | 'HcsCrashComputeSystem'
  | 'HcsPauseComputeSystem'
  | 'HcsResumeComputeSystem'
  | 'HcsSaveComputeSystem'
  | 'HcsGetComputeSystemProperties'
  | 'HcsInitializeLiveMigrationOnSource'
  | 'HcsStartLiveMigrationOnSource'
  | 'HcsStartLiveMigrationTransfer'
  | 'HcsFinalizeLiveMigration'
  | 'HcsCancelLiveMigration';
