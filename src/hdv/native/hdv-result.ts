import { describeHresult } from '../../hcs/hresult.ts';
import { HDV_RESULTS, HdvError, type HdvResultName } from '../hdv-error.ts';
import type { VmDeviceHostFunction } from '../vm-device-host.ts';

type Remedies = { readonly [Code in HdvResultName]?: string };

/** What a failure means in any function, and what to do. */
const ANYWHERE: Remedies = {
  E_ACCESSDENIED: 'this process may not: run it as a member of Hyper-V Administrators, or elevated',
  E_HANDLE: 'a handle is not open, or of another kind',
  E_INVALIDARG: 'a parameter is not allowed',
  E_OUTOFMEMORY: 'no memory is left',
  ERROR_INVALID_ADDRESS: 'not all of it is guest memory that allows this',
  ERROR_NOT_ENOUGH_QUOTA: 'too many mappings exist: dispose apertures that are not in use',
  ERROR_VID_PROCESS_ALREADY_SET:
    'this process already hosts devices of the system: use that device host, it carries any number of devices',
  RPC_E_TOO_LATE:
    'the COM security of this process has been set before: initialize without HdvDeviceHostFlagInitializeComSecurity',
};

const RESTRICTED_COPIES =
  'this is a restricted device host, which may not copy: map the memory by HdvCreateGuestMemoryAperture';
const RESTRICTED_DOORBELLS =
  'this is a restricted device host, which has no doorbells: the writes are intercepted';
const RESTRICTED_RANGES =
  'this is a restricted device host, which has no mapped ranges: the accesses are intercepted';

/** What it means in one function. */
const THERE: { readonly [Name in VmDeviceHostFunction]?: Remedies } = {
  HdvReadGuestMemory: { E_ACCESSDENIED: RESTRICTED_COPIES },
  HdvWriteGuestMemory: { E_ACCESSDENIED: RESTRICTED_COPIES },
  HdvRegisterDoorbell: { E_ACCESSDENIED: RESTRICTED_DOORBELLS },
  HdvRegisterDoorbellPage: { E_ACCESSDENIED: RESTRICTED_DOORBELLS },
  HdvUnregisterDoorbell: { E_ACCESSDENIED: RESTRICTED_DOORBELLS },
  HdvUnregisterDoorbellPage: { E_ACCESSDENIED: RESTRICTED_DOORBELLS },
  HdvCreateSectionBackedMmioRange: { E_ACCESSDENIED: RESTRICTED_RANGES },
  HdvDestroySectionBackedMmioRange: { E_ACCESSDENIED: RESTRICTED_RANGES },
  HdvInitializeDeviceHostForProxy: {
    E_ACCESSDENIED:
      'another restricted device host of this process is being initialized, or this process may not: try one after the other, as a member of Hyper-V Administrators',
  },
  HdvInitializeDeviceHostForProxyEx: {
    E_ACCESSDENIED:
      'another restricted device host of this process is being initialized, or this process may not: try one after the other, as a member of Hyper-V Administrators',
  },
};

/** Does an HRESULT say that a function failed? Signed or unsigned. */
export function isFailure(hresult: number): boolean {
  return hresult >>> 31 === 1;
}

/** The error for a failing HRESULT, with what it means there and what to do about it. */
export function hdvFailure(name: VmDeviceHostFunction, hresult: number): HdvError {
  const value = hresult >>> 0;
  const code = (Object.keys(HDV_RESULTS) as HdvResultName[]).find(
    (known) => HDV_RESULTS[known] === value,
  );
  const reason = code === undefined ? undefined : (THERE[name]?.[code] ?? ANYWHERE[code]);
  return new HdvError(name, value, reason ?? describeHresult(value));
}

/** @throws HdvError when the HRESULT is a failure */
export function checkHdv(name: VmDeviceHostFunction, hresult: number): void {
  if (isFailure(hresult)) throw hdvFailure(name, hresult);
}
