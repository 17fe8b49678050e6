import type { ConfigSpace, DecodedCapability } from '../../src/inspect/config-space.ts';

/** Our decoding in the words of `parseLspci`, so that the two can be compared with `toEqual`. */
export function comparable(space: ConfigSpace): unknown {
  const { command } = space;
  return {
    classCode: space.classCode >>> 8,
    vendorId: space.vendorId,
    deviceId: space.deviceId,
    revision: space.revision,
    subsystem: [space.subsystemVendorId, space.subsystemId],
    interruptPin: space.interruptPin,
    flags: [
      command.ioSpace,
      command.memorySpace,
      command.busMaster,
      command.serrEnable,
      command.interruptDisable,
    ],
    bars: space.bars.map(({ slot, kind, prefetchable, address }) => ({
      slot,
      kind,
      prefetchable,
      address,
    })),
    capabilities: [...space.capabilities, ...space.extendedCapabilities].map(comparableCapability),
  };
}

function comparableCapability({ offset, name, version, fields }: DecodedCapability): unknown {
  switch (name) {
    case 'MSI-X':
      return {
        offset,
        enable: fields.enable,
        vectors: fields.vectors,
        masked: fields.functionMask,
        places: [
          [fields.tableBar, fields.tableOffset],
          [fields.pendingBitsBar, fields.pendingBitsOffset],
        ],
      };
    case 'MSI':
      return {
        offset,
        enable: fields.enable,
        enabled: fields.vectorsEnabled,
        vectors: fields.vectors,
        maskable: fields.perVectorMasking,
        address64: fields.address64,
        address: (Number(fields.addressHigh ?? 0) * 2 ** 32 + Number(fields.address)) as number,
        data: fields.data,
        mask: fields.mask,
      };
    case 'Power Management':
      return {
        offset,
        version: fields.version,
        state: fields.powerState,
        d1: fields.d1,
        noSoftReset: fields.noSoftReset,
      };
    case 'PCI Express':
      return {
        offset,
        version: fields.version,
        functionLevelReset: fields.functionLevelReset,
        roleBasedErrorReporting: fields.roleBasedErrorReporting,
        payload: fields.maxPayload,
        readRequest: fields.maxReadRequest,
      };
    case 'Device Serial Number':
      return { offset, serialNumber: fields.serialNumber };
    case 'Vendor Specific':
      if (fields.virtio !== undefined) {
        return {
          offset,
          virtio: fields.virtio,
          bar: fields.bar,
          at: fields.offset,
          size: fields.size,
        };
      }
      return version === undefined
        ? { offset, length: fields.length }
        : {
            offset,
            id: fields.vendorSpecificId,
            revision: fields.revision,
            length: fields.length,
          };
    default:
      return { offset };
  }
}
