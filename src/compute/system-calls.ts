import { HCS_OPERATION_TYPE } from '../hcs/core/constants.ts';
import type {
  CrashOptions,
  PauseOptions,
  SaveOptions,
  ShutdownOptions,
  System_PropertyQuery,
} from '../hcs/schema/documents.ts';
import { checkPauseOptions, readOptions, refuseOptions, saveTarget } from './call-options.ts';
import type { Cancellation } from './cancellation.ts';
import { checkKind, readModification } from './modify-request.ts';
import type { ServedSystem } from './served-system.ts';
import type { SystemKind } from './system-kind.ts';
import { systemProperties } from './system-properties.ts';

const TYPE = HCS_OPERATION_TYPE;

/** The functions on one system that an operation tracks, with what the operation calls them. */
export const SYSTEM_FUNCTIONS = {
  HcsStartComputeSystem: TYPE.HcsOperationTypeStart,
  HcsShutDownComputeSystem: TYPE.HcsOperationTypeShutdown,
  HcsTerminateComputeSystem: TYPE.HcsOperationTypeTerminate,
  HcsCrashComputeSystem: TYPE.HcsOperationTypeCrash,
  HcsPauseComputeSystem: TYPE.HcsOperationTypePause,
  HcsResumeComputeSystem: TYPE.HcsOperationTypeResume,
  HcsSaveComputeSystem: TYPE.HcsOperationTypeSave,
  HcsGetComputeSystemProperties: TYPE.HcsOperationTypeGetProperties,
  HcsModifyComputeSystem: TYPE.HcsOperationTypeModify,
} as const;

/** Name of one of {@link SYSTEM_FUNCTIONS}. */
export type SystemFunction = keyof typeof SYSTEM_FUNCTIONS;

type Work = (system: ServedSystem, cancellation: Cancellation) => Promise<unknown>;

/** A call on one system, its document checked. */
export interface SystemCall {
  readonly function: SystemFunction;
  /** The document as it was given. */
  readonly text: string | null;
  /** What the service does for it. */
  readonly run: Work;
}

const readers: Record<SystemFunction, (text: string | null, kind: SystemKind) => Work> = {
  HcsStartComputeSystem(text) {
    const name = 'HcsStartComputeSystem';
    refuseOptions(name, text);
    return (system, cancellation) => system.start(name, cancellation);
  },
  HcsShutDownComputeSystem(text) {
    const name = 'HcsShutDownComputeSystem';
    const options = readOptions<ShutdownOptions>('ShutdownOptions', text, name);
    return (system, cancellation) => system.shutDown(name, options, cancellation);
  },
  HcsTerminateComputeSystem(text) {
    const name = 'HcsTerminateComputeSystem';
    refuseOptions(name, text);
    return (system, cancellation) => {
      cancellation.begin();
      return system.terminate(name);
    };
  },
  HcsCrashComputeSystem(text) {
    const name = 'HcsCrashComputeSystem';
    readOptions<CrashOptions>('CrashOptions', text, name);
    return (system, cancellation) => system.crash(name, cancellation);
  },
  HcsPauseComputeSystem(text) {
    const name = 'HcsPauseComputeSystem';
    checkPauseOptions(name, readOptions<PauseOptions>('PauseOptions', text, name));
    return (system, cancellation) => system.pause(name, cancellation);
  },
  HcsResumeComputeSystem(text) {
    const name = 'HcsResumeComputeSystem';
    refuseOptions(name, text);
    return (system, cancellation) => system.resume(name, cancellation);
  },
  HcsSaveComputeSystem(text) {
    const name = 'HcsSaveComputeSystem';
    const target = saveTarget(name, readOptions<SaveOptions>('SaveOptions', text, name));
    return (system, cancellation) => system.save(name, target, cancellation);
  },
  HcsGetComputeSystemProperties(text) {
    const name = 'HcsGetComputeSystemProperties';
    const query = readOptions<System_PropertyQuery>('System_PropertyQuery', text, name);
    return async (system, cancellation) =>
      JSON.stringify(await systemProperties(name, system, query, cancellation));
  },
  HcsModifyComputeSystem(text, kind) {
    const name = 'HcsModifyComputeSystem';
    const modification = readModification(name, text as string);
    checkKind(name, modification, kind);
    return (system, cancellation) => system.modify(name, modification, cancellation);
  },
};

/** Whether `name` is one of {@link SYSTEM_FUNCTIONS}. */
export function isSystemFunction(name: unknown): name is SystemFunction {
  return typeof name === 'string' && Object.hasOwn(SYSTEM_FUNCTIONS, name);
}

/**
 * Reads the document of a call.
 * @param kind what the system is
 * @throws HcsError what the call itself fails with, before anything is done
 */
export function readSystemCall(
  name: SystemFunction,
  text: string | null,
  kind: SystemKind,
): SystemCall {
  return { function: name, text, run: readers[name](text, kind) };
}
