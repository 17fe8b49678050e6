import { isAbsolute } from 'node:path';
import type { ServiceFunctions } from '../hcs/core/service-functions.ts';
import type { Engine } from './engine.ts';
import { failure } from './failure.ts';
import { fileFailure, shorten } from './file-failure.ts';
import { checkSystemId, runtimeIdOf } from './system-id.ts';
import type { FileUser, VmFiles } from './vm-files.ts';

/** The functions of the contract on files that machines use, over the engine that runs virtual machines. */
export class FileFunctions
  implements
    Pick<
      ServiceFunctions,
      | 'HcsCreateEmptyGuestStateFile'
      | 'HcsCreateEmptyRuntimeStateFile'
      | 'HcsGetProcessorCompatibilityFromSavedState'
      | 'HcsGrantVmAccess'
      | 'HcsRevokeVmAccess'
      | 'HcsGrantVmGroupAccess'
      | 'HcsRevokeVmGroupAccess'
    >
{
  readonly #files: VmFiles | undefined;

  constructor(engines: readonly Engine[]) {
    this.#files = engines.find(({ files }) => files !== undefined)?.files;
  }

  HcsCreateEmptyGuestStateFile(path: string): Promise<void> {
    return this.#run('HcsCreateEmptyGuestStateFile', path, (files) => files.createGuestState(path));
  }

  HcsCreateEmptyRuntimeStateFile(path: string): Promise<void> {
    return this.#run('HcsCreateEmptyRuntimeStateFile', path, (files) =>
      files.createRuntimeState(path),
    );
  }

  HcsGetProcessorCompatibilityFromSavedState(path: string): Promise<string> {
    return this.#run('HcsGetProcessorCompatibilityFromSavedState', path, async (files) =>
      JSON.stringify(await files.processorRequirements(path)),
    );
  }

  HcsGrantVmAccess(vmId: string, path: string): Promise<void> {
    const name = 'HcsGrantVmAccess';
    return this.#run(name, path, (files) => files.grant(userOf(name, vmId), path));
  }

  /** Whether {@link HcsGrantVmAccess} has nothing to do. @throws HcsError as that */
  async isGranted(vmId: string, path: string): Promise<boolean> {
    const name = 'HcsGrantVmAccess';
    return await this.#run(
      name,
      path,
      async (files) => (await files.isGranted?.(userOf(name, vmId), path)) ?? false,
    );
  }

  HcsRevokeVmAccess(vmId: string, path: string): Promise<void> {
    const name = 'HcsRevokeVmAccess';
    return this.#run(name, path, (files) => files.revoke(userOf(name, vmId), path));
  }

  HcsGrantVmGroupAccess(path: string): Promise<void> {
    return this.#run('HcsGrantVmGroupAccess', path, (files) =>
      files.grant({ kind: 'group' }, path),
    );
  }

  HcsRevokeVmGroupAccess(path: string): Promise<void> {
    return this.#run('HcsRevokeVmGroupAccess', path, (files) =>
      files.revoke({ kind: 'group' }, path),
    );
  }

  async #run<T>(name: string, path: string, work: (files: VmFiles) => Promise<T>): Promise<T> {
    if (typeof path !== 'string' || path === '' || path.includes('\0') || !isAbsolute(path)) {
      throw failure(
        name,
        'E_INVALIDARG',
        `the path is ${typeof path === 'string' ? JSON.stringify(shorten(path)) : String(path)}: use an absolute path`,
      );
    }
    const files = this.#files;
    if (files === undefined) {
      throw failure(name, 'E_NOTIMPL', 'the machines of this host keep nothing in files');
    }
    try {
      return await work(files);
    } catch (error) {
      throw fileFailure(name, path, error);
    }
  }
}

function userOf(name: string, vmId: string): FileUser {
  checkSystemId(name, vmId, 'vmId');
  return { kind: 'vm', systemId: vmId, runtimeId: runtimeIdOf(vmId) };
}
