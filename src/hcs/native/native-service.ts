import type { OutCell } from '../../ffi/abi.ts';
import type { ServiceFunctions } from '../core/service-functions.ts';
import { blockingCalls } from './blocking-calls.ts';
import type { ComputeCoreLibrary } from './native-libraries.ts';
import { check, take } from './native-result.ts';

/** The functions on the compute service itself, and on files that machines use. */
export class NativeService implements ServiceFunctions {
  readonly #library: ComputeCoreLibrary;

  constructor(library: ComputeCoreLibrary) {
    this.#library = library;
  }

  async HcsGetServiceProperties(propertyQuery: string | null): Promise<string> {
    const name = 'HcsGetServiceProperties';
    const call = this.#library.core.function(name);
    return (await this.#take(name, (cell) => call.async(propertyQuery, cell))) ?? '';
  }

  async HcsModifyServiceSettings(settings: string): Promise<string | null> {
    const name = 'HcsModifyServiceSettings';
    const call = this.#library.core.function(name);
    return await this.#take(name, (cell) => call.async(settings, cell));
  }

  async HcsSubmitWerReport(settings: string): Promise<void> {
    await this.#check('HcsSubmitWerReport', settings);
  }

  async HcsCreateEmptyGuestStateFile(guestStateFilePath: string): Promise<void> {
    await this.#check('HcsCreateEmptyGuestStateFile', guestStateFilePath);
  }

  async HcsCreateEmptyRuntimeStateFile(runtimeStateFilePath: string): Promise<void> {
    await this.#check('HcsCreateEmptyRuntimeStateFile', runtimeStateFilePath);
  }

  async HcsGetProcessorCompatibilityFromSavedState(RuntimeFileName: string): Promise<string> {
    const name = 'HcsGetProcessorCompatibilityFromSavedState';
    const call = this.#library.core.function(name);
    return (await this.#take(name, (cell) => call.async(RuntimeFileName, cell))) ?? '';
  }

  async HcsGrantVmAccess(vmId: string, filePath: string): Promise<void> {
    const name = 'HcsGrantVmAccess';
    const call = this.#library.core.function(name);
    check(name, await blockingCalls.run(() => call.async(vmId, filePath)));
  }

  async HcsRevokeVmAccess(vmId: string, filePath: string): Promise<void> {
    const name = 'HcsRevokeVmAccess';
    const call = this.#library.core.function(name);
    check(name, await blockingCalls.run(() => call.async(vmId, filePath)));
  }

  async HcsGrantVmGroupAccess(filePath: string): Promise<void> {
    await this.#check('HcsGrantVmGroupAccess', filePath);
  }

  async HcsRevokeVmGroupAccess(filePath: string): Promise<void> {
    await this.#check('HcsRevokeVmGroupAccess', filePath);
  }

  async #check(
    name:
      | 'HcsSubmitWerReport'
      | 'HcsCreateEmptyGuestStateFile'
      | 'HcsCreateEmptyRuntimeStateFile'
      | 'HcsGrantVmGroupAccess'
      | 'HcsRevokeVmGroupAccess',
    text: string,
  ): Promise<void> {
    const call = this.#library.core.function(name);
    check(name, await blockingCalls.run(() => call.async(text)));
  }

  async #take(name: string, call: (cell: OutCell) => Promise<number>): Promise<string | null> {
    const cell: OutCell = [0];
    const hresult = await blockingCalls.run(() => call(cell));
    return take(this.#library.system(), name, hresult, cell);
  }
}
