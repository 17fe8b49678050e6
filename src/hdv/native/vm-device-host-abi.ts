import { callback, hresult, type LibraryAbi } from '../../ffi/abi.ts';
import {
  HDV_DEVICE_HOST_FLAGS,
  HDV_DEVICE_TYPE,
  HDV_DOORBELL_FLAGS,
  HDV_MMIO_MAPPING_FLAGS,
  HDV_PCI_BAR_COUNT,
  HDV_PCI_BAR_SELECTOR,
  HDV_PCI_INTERFACE_VERSION,
} from '../hdv-constants.ts';

/** The reference pages name Windows 10 1607, which is older than the compute system handles that the functions take. */
const WINDOWS_10_1809 = 'Windows 10 1809 or Windows Server 2019';
const WINDOWS_10_1903 = 'Windows 10 1903 or Windows Server 2022';
/** Exported by current builds, without a reference page or without a declaration in the header. */
const UNDOCUMENTED = 'a newer Windows (the first build that has it is not published)';

const requestor = ['HDV_DEVICE', 'requestor'] as const;
const barIndex = ['HDV_PCI_BAR_SELECTOR', 'barIndex'] as const;
const context = ['void *', 'deviceContext'] as const;
const guestPhysicalAddress = ['UINT64', 'guestPhysicalAddress'] as const;
const deviceHostHandle = ['HDV_HOST *', 'deviceHostHandle'] as const;

/**
 * vmdevicehost.dll, after HyperVDeviceVirtualization.h of the Windows SDK and the reference pages; the functions for
 * doorbell pages after hcs-rs.
 */
export const VM_DEVICE_HOST_ABI = {
  file: 'vmdevicehost.dll',
  feature:
    'the Windows feature Hyper-V (Enable-WindowsOptionalFeature -Online -FeatureName Microsoft-Hyper-V -All) and restart',
  handles: ['HCS_SYSTEM', 'HDV_HOST', 'HDV_DEVICE'],
  enums: {
    HDV_DEVICE_TYPE,
    HDV_DEVICE_HOST_FLAGS,
    HDV_PCI_BAR_SELECTOR: { ...HDV_PCI_BAR_SELECTOR, HDV_PCI_BAR_COUNT },
    HDV_DOORBELL_FLAGS,
    HDV_MMIO_MAPPING_FLAGS,
    HDV_PCI_INTERFACE_VERSION,
  },
  structs: {
    HDV_PCI_PNP_ID: [
      ['UINT16', 'VendorID'],
      ['UINT16', 'DeviceID'],
      ['UINT8', 'RevisionID'],
      ['UINT8', 'ProgIf'],
      ['UINT8', 'SubClass'],
      ['UINT8', 'BaseClass'],
      ['UINT16', 'SubVendorID'],
      ['UINT16', 'SubSystemID'],
    ],
    HDV_PCI_DEVICE_INTERFACE: [
      ['HDV_PCI_INTERFACE_VERSION', 'Version'],
      ['HDV_PCI_DEVICE_INITIALIZE', 'Initialize'],
      ['HDV_PCI_DEVICE_TEARDOWN', 'Teardown'],
      ['HDV_PCI_DEVICE_SET_CONFIGURATION', 'SetConfiguration'],
      ['HDV_PCI_DEVICE_GET_DETAILS', 'GetDetails'],
      ['HDV_PCI_DEVICE_START', 'Start'],
      ['HDV_PCI_DEVICE_STOP', 'Stop'],
      ['HDV_PCI_READ_CONFIG_SPACE', 'ReadConfigSpace'],
      ['HDV_PCI_WRITE_CONFIG_SPACE', 'WriteConfigSpace'],
      ['HDV_PCI_READ_INTERCEPTED_MEMORY', 'ReadInterceptedMemory'],
      ['HDV_PCI_WRITE_INTERCEPTED_MEMORY', 'WriteInterceptedMemory'],
    ],
  },
  callbacks: {
    HDV_PCI_DEVICE_INITIALIZE: callback('HRESULT', context),
    HDV_PCI_DEVICE_TEARDOWN: callback('void', context),
    HDV_PCI_DEVICE_SET_CONFIGURATION: callback(
      'HRESULT',
      context,
      ['UINT32', 'configurationValueCount'],
      ['const LPCWSTR *', 'configurationValues'],
    ),
    HDV_PCI_DEVICE_GET_DETAILS: callback(
      'HRESULT',
      context,
      ['HDV_PCI_PNP_ID *', 'pnpId'],
      ['UINT32', 'probedBarsCount'],
      ['UINT32 *', 'probedBars'],
    ),
    HDV_PCI_DEVICE_START: callback('HRESULT', context),
    HDV_PCI_DEVICE_STOP: callback('void', context),
    HDV_PCI_READ_CONFIG_SPACE: callback(
      'HRESULT',
      context,
      ['UINT32', 'offset'],
      ['UINT32 *', 'value'],
    ),
    HDV_PCI_WRITE_CONFIG_SPACE: callback(
      'HRESULT',
      context,
      ['UINT32', 'offset'],
      ['UINT32', 'value'],
    ),
    HDV_PCI_READ_INTERCEPTED_MEMORY: callback(
      'HRESULT',
      context,
      barIndex,
      ['UINT64', 'offset'],
      ['UINT64', 'length'],
      ['BYTE *', 'value'],
    ),
    HDV_PCI_WRITE_INTERCEPTED_MEMORY: callback(
      'HRESULT',
      context,
      barIndex,
      ['UINT64', 'offset'],
      ['UINT64', 'length'],
      ['const BYTE *', 'value'],
    ),
  },
  functions: {
    HdvInitializeDeviceHost: hresult(
      WINDOWS_10_1809,
      ['HCS_SYSTEM', 'computeSystem'],
      deviceHostHandle,
    ),
    HdvInitializeDeviceHostEx: hresult(
      UNDOCUMENTED,
      ['HCS_SYSTEM', 'computeSystem'],
      ['HDV_DEVICE_HOST_FLAGS', 'flags'],
      deviceHostHandle,
    ),
    HdvInitializeDeviceHostForProxy: hresult(
      UNDOCUMENTED,
      ['const GUID *', 'deviceHostId'],
      ['PVOID', 'proxyInterface'],
      deviceHostHandle,
    ),
    HdvInitializeDeviceHostForProxyEx: hresult(
      UNDOCUMENTED,
      ['const GUID *', 'deviceHostId'],
      ['PVOID', 'proxyInterface'],
      ['HDV_DEVICE_HOST_FLAGS', 'flags'],
      deviceHostHandle,
    ),
    HdvProxyDeviceHost: hresult(
      UNDOCUMENTED,
      ['HCS_SYSTEM', 'computeSystem'],
      ['PVOID', 'deviceHost'],
      ['DWORD', 'targetProcessId'],
      ['UINT64 *', 'ipcSectionHandle'],
    ),
    HdvTeardownDeviceHost: hresult(WINDOWS_10_1809, ['HDV_HOST', 'deviceHostHandle']),
    HdvCreateDeviceInstance: hresult(
      WINDOWS_10_1809,
      ['HDV_HOST', 'deviceHostHandle'],
      ['HDV_DEVICE_TYPE', 'deviceType'],
      ['const GUID *', 'deviceClassId'],
      ['const GUID *', 'deviceInstanceId'],
      ['const void *', 'deviceInterface'],
      ['void *', 'deviceContext'],
      ['HDV_DEVICE *', 'deviceHandle'],
    ),
    HdvReadGuestMemory: hresult(
      WINDOWS_10_1809,
      requestor,
      guestPhysicalAddress,
      ['UINT32', 'byteCount'],
      ['BYTE *', 'buffer'],
    ),
    HdvWriteGuestMemory: hresult(
      WINDOWS_10_1809,
      requestor,
      guestPhysicalAddress,
      ['UINT32', 'byteCount'],
      ['const BYTE *', 'buffer'],
    ),
    HdvCreateGuestMemoryAperture: hresult(
      WINDOWS_10_1809,
      requestor,
      guestPhysicalAddress,
      ['UINT32', 'byteCount'],
      ['BOOL', 'writeProtected'],
      ['PVOID *', 'mappedAddress'],
    ),
    HdvDestroyGuestMemoryAperture: hresult(WINDOWS_10_1809, requestor, ['PVOID', 'mappedAddress']),
    HdvDeliverGuestInterrupt: hresult(
      WINDOWS_10_1809,
      requestor,
      ['UINT64', 'msiAddress'],
      ['UINT32', 'msiData'],
    ),
    HdvRegisterDoorbell: hresult(
      UNDOCUMENTED,
      requestor,
      ['HDV_PCI_BAR_SELECTOR', 'BarIndex'],
      ['UINT64', 'BarOffset'],
      ['UINT64', 'TriggerValue'],
      ['UINT64', 'Flags'],
      ['HANDLE', 'DoorbellEvent'],
    ),
    HdvUnregisterDoorbell: hresult(
      UNDOCUMENTED,
      requestor,
      ['HDV_PCI_BAR_SELECTOR', 'BarIndex'],
      ['UINT64', 'BarOffset'],
      ['UINT64', 'TriggerValue'],
      ['UINT64', 'Flags'],
    ),
    HdvRegisterDoorbellPage: hresult(
      WINDOWS_10_1903,
      requestor,
      barIndex,
      ['UINT64', 'pageIndex'],
      ['HANDLE', 'doorbellEvent'],
    ),
    HdvUnregisterDoorbellPage: hresult(WINDOWS_10_1903, requestor, barIndex, [
      'UINT64',
      'pageIndex',
    ]),
    HdvCreateSectionBackedMmioRange: hresult(
      UNDOCUMENTED,
      requestor,
      barIndex,
      ['UINT64', 'offsetInPages'],
      ['UINT64', 'lengthInPages'],
      ['HDV_MMIO_MAPPING_FLAGS', 'MappingFlags'],
      ['HANDLE', 'sectionHandle'],
      ['UINT64', 'sectionOffsetInPages'],
    ),
    HdvDestroySectionBackedMmioRange: hresult(UNDOCUMENTED, requestor, barIndex, [
      'UINT64',
      'offsetInPages',
    ]),
  },
  unbound: {},
} as const satisfies LibraryAbi;
