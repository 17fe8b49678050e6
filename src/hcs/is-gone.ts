import { HcsError } from './hcs-error.ts';

/** What calls on a system that has ended, or that is not there any more, fail with; of both families of codes. */
const GONE: readonly string[] = [
  'HCS_E_SYSTEM_ALREADY_STOPPED',
  'HCS_E_SYSTEM_NOT_FOUND',
  'ERROR_VMCOMPUTE_SYSTEM_ALREADY_STOPPED',
  'ERROR_VMCOMPUTE_SYSTEM_NOT_FOUND',
  'ERROR_NOT_FOUND',
];

/** Whether a call failed because its system has ended. */
export function isGone(error: unknown): boolean {
  return error instanceof HcsError && GONE.includes(error.code);
}

/** Whether a call failed because its handle is closed, as all are when their host is. */
export function isNotOpen(error: unknown): boolean {
  return error instanceof HcsError && error.code === 'ERROR_INVALID_HANDLE';
}
