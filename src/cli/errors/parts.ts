/** Facilities that the virtualization stack of Windows uses, and the most common others (winerror.h, ntstatus.h). */
const FACILITIES: Readonly<Record<number, string>> = {
  0: 'none: the code stands for itself',
  1: 'RPC',
  2: 'COM dispatch',
  3: 'COM storage',
  4: 'interface: only the function that gave it knows',
  7: 'Win32',
  8: 'Windows',
  9: 'security',
  10: 'control',
  11: 'certificates',
  12: 'Internet',
  13: 'media server',
  15: 'set-up',
  16: 'smart cards',
  17: 'COM+',
  25: 'HTTP',
  31: 'filter manager, user mode',
  36: 'Windows Update',
  38: 'graphics',
  48: 'performance logs',
  49: 'BitLocker',
  50: 'Windows Filtering Platform',
  52: 'NDIS',
  53: 'hypervisor',
  54: 'IPsec',
  55: 'virtualization: the compute service and its driver',
  56: 'volume manager',
  57: 'boot configuration',
  58: 'virtual disks',
  59: 'host network service',
  80: 'Windows Defender',
};

/** What the bits of an HRESULT say. */
export interface HresultParts {
  readonly severity: 'success' | 'failure';
  readonly facility: number;
  /** What the facility is; undefined where the table does not have it. */
  readonly facilityName: string | undefined;
  /** The low 16 bits. */
  readonly code: number;
  /** The code is not Microsoft's. */
  readonly isCustomer: boolean;
  /** An NTSTATUS as an HRESULT carries it. */
  readonly isNtStatus: boolean;
}

/** Takes an unsigned HRESULT apart (winerror.h: S R C N X, eleven bits of facility, sixteen of code). */
export function partsOf(value: number): HresultParts {
  const facility = (value >>> 16) & 0x7ff;
  return {
    severity: value >>> 31 === 1 ? 'failure' : 'success',
    facility,
    facilityName: FACILITIES[facility],
    code: value & 0xffff,
    isCustomer: (value & 0x2000_0000) !== 0,
    isNtStatus: (value & 0x1000_0000) !== 0,
  };
}
