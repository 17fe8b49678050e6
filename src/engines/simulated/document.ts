import { isAbsolute } from 'node:path';
import { checkFields } from '../../compute/document-fields.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import type { RestoreState } from '../../hcs/schema/documents.ts';
import { SIMULATED_FIELDS, SIMULATED_OTHERWISE } from './document-fields.ts';

type Document = Readonly<Record<string, unknown>>;

/** Megabytes of a document that does not say. */
const DEFAULT_MEMORY_MB = 64;

/**
 * Refuses what the simulated machine cannot honour: it runs guest programs written in TypeScript, not firmware, kernels
 * or disks.
 * @throws HcsError E_NOTIMPL with the JSON path of the field
 */
export function checkDocument(document: Document): void {
  const vm = document.VirtualMachine;
  if (!isObject(vm)) {
    throw refusal('$.VirtualMachine', 'the simulated host runs virtual machines only');
  }
  checkFields('VirtualMachine', vm, SIMULATED_FIELDS, '$.VirtualMachine', SIMULATED_OTHERWISE);
  memoryBytes(document);
  const { SaveStateFilePath: path, TemplateSystemId } = restoreState(document);
  if (path === undefined) return;
  const at = '$.VirtualMachine.RestoreState.SaveStateFilePath';
  if (TemplateSystemId !== undefined) {
    throw invalid(`${at} and TemplateSystemId exclude each other: write one`);
  }
  // The service may be another process, in another folder.
  if (!isAbsolute(path)) throw invalid(`${at} is "${path}": use an absolute path`);
}

/**
 * Bytes of RAM that the document asks for.
 * @throws HcsError E_INVALIDARG when it is no size
 */
export function memoryBytes(document: Document): number {
  const path = ['VirtualMachine', 'ComputeTopology', 'Memory', 'SizeInMB'];
  let value: unknown = document;
  for (const key of path) value = isObject(value) ? value[key] : undefined;
  if (value === undefined) return DEFAULT_MEMORY_MB * 1024 * 1024;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
    throw invalid(
      `$.${path.join('.')} is ${String(value)}: use a whole number of megabytes above 0`,
    );
  }
  return value * 1024 * 1024;
}

/** The file that the machine goes on from, if it does. */
export function savedStatePath(document: Document): string | undefined {
  return restoreState(document).SaveStateFilePath;
}

/** Whether the machine ends when its guest resets it. */
export function stopsOnReset(document: Document): boolean {
  return isObject(document.VirtualMachine) && document.VirtualMachine.StopOnReset === true;
}

/** The schema has seen to the types. */
function restoreState({ VirtualMachine: vm }: Document): RestoreState {
  return isObject(vm) && isObject(vm.RestoreState) ? (vm.RestoreState as RestoreState) : {};
}

function invalid(message: string): HcsError {
  const hresult = HRESULT.E_INVALIDARG;
  return new HcsError({ function: 'HcsCreateComputeSystem', hresult, message });
}

function refusal(path: string, reason: string): HcsError {
  return new HcsError({
    function: 'HcsCreateComputeSystem',
    hresult: HRESULT.E_NOTIMPL,
    message: `Cannot honour ${path}: ${reason}`,
  });
}

function isObject(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
