import type { ComputeCoreFunction } from '../hcs/compute-core.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';

/**
 * Functions that the service of this package answers with E_NOTIMPL, on every host that it serves. Their other
 * arguments are not looked at, but for handles, which must be open.
 */
export const notImplemented: readonly ComputeCoreFunction[] = [
  'HcsInitializeLiveMigrationOnSource',
  'HcsStartLiveMigrationOnSource',
  'HcsStartLiveMigrationTransfer',
  'HcsFinalizeLiveMigration',
  'HcsCancelLiveMigration',
  'HcsCreateProcess',
  'HcsOpenProcess',
  'HcsCloseProcess',
  'HcsTerminateProcess',
  'HcsSignalProcess',
  'HcsGetProcessInfo',
  'HcsGetProcessProperties',
  'HcsModifyProcess',
  'HcsSetProcessCallback',
  'HcsWaitForProcessExit',
];

/** The error that functions in {@link notImplemented} end with. */
export function notImplementedError(name: ComputeCoreFunction): HcsError {
  const message = name.includes('Process')
    ? 'this host runs no processes in compute systems'
    : 'this host moves no machines while they run: save one, and restore it elsewhere';
  return new HcsError({ function: name, hresult: HRESULT.E_NOTIMPL, message });
}
