import type { FlexibleIoDevice } from '../hcs/schema/documents.ts';
import { type DocumentProblem, invalidDocument } from '../hcs/schema/validate.ts';
import type { DeviceDirectory } from './device-directory.ts';
import type { EngineDevice } from './engine.ts';
import { deviceFailure, failure } from './failure.ts';
import { isGuid } from './system-id.ts';

/** One FlexibleIov entry of a create document or modify request, checked. */
export interface FlexibleIovEntry {
  /** As the document writes it. */
  readonly instanceId: string;
  readonly classId: string;
  readonly configuration: readonly string[];
}

/**
 * The FlexibleIov entries of a create document, in document order.
 * @throws HcsError HCS_E_INVALID_JSON when a key is no GUID, stands there twice, or an entry has no EmulatorId;
 * ERROR_NOT_SUPPORTED for a hosting model other than External
 */
export function flexibleIovEntries(
  name: string,
  devices: Readonly<Record<string, FlexibleIoDevice>> | undefined,
): readonly FlexibleIovEntry[] {
  const entries: FlexibleIovEntry[] = [];
  const keys = new Map<string, string>();
  for (const [key, device] of Object.entries(devices ?? {})) {
    const at = `$.VirtualMachine.Devices.FlexibleIov[${JSON.stringify(key)}]`;
    const twin = keys.get(key.toLowerCase());
    if (twin !== undefined) {
      throw invalidEntry(name, 'ComputeSystem', {
        path: at,
        message: `is the same instance id as "${twin}": give each device an instance id of its own`,
      });
    }
    keys.set(key.toLowerCase(), key);
    entries.push(flexibleIovEntry(name, 'ComputeSystem', key, device, at));
  }
  return entries;
}

/**
 * One FlexibleIov entry.
 * @param at JSON path of the entry, for errors
 * @throws HcsError as {@link flexibleIovEntries}
 */
export function flexibleIovEntry(
  name: string,
  document: string,
  instanceId: string,
  device: FlexibleIoDevice,
  at: string,
): FlexibleIovEntry {
  if (!isGuid(instanceId)) {
    const message = `has the instance id "${instanceId}", not a GUID, 8-4-4-4-12 hexadecimal digits without braces`;
    throw invalidEntry(name, document, { path: at, message });
  }
  const { EmulatorId, HostingModel, Configuration = [] } = device;
  if (EmulatorId === undefined) {
    throw invalidEntry(name, document, {
      path: `${at}.EmulatorId`,
      message: 'is missing: it is the class id that the device host announces',
    });
  }
  if (HostingModel !== 'External') {
    throw failure(
      name,
      'ERROR_NOT_SUPPORTED',
      `${at}.HostingModel is ${HostingModel === undefined ? 'missing, which means "Internal"' : `"${HostingModel}"`}: write "External", for a device that a device host answers for`,
    );
  }
  return { instanceId, classId: EmulatorId, configuration: Configuration };
}

/**
 * Looks up the device host's endpoint of an entry. Failures of the endpoint name the device.
 * @throws HcsError E_UNEXPECTED with the attribution VirtualDeviceFailure when no device host answers
 */
export function resolveDevice(
  name: string,
  directory: DeviceDirectory,
  systemId: string,
  entry: FlexibleIovEntry,
): EngineDevice {
  const { instanceId, classId, configuration } = entry;
  const endpoint = directory.find({ systemId, classId, instanceId });
  if (endpoint === undefined) {
    throw deviceFailure(
      name,
      instanceId,
      `No device host answers for device instance ${instanceId} of class ${classId} in system ${systemId}: create the instance with HdvCreateDeviceInstance (DeviceHost.attach), with this class and instance id, before the system starts or the device is added`,
    );
  }
  return {
    instanceId,
    configuration,
    endpoint: {
      async powerOn(strings) {
        try {
          return await endpoint.powerOn(strings);
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          const message = `Device instance ${instanceId} cannot be powered on: ${reason}`;
          throw deviceFailure(name, instanceId, message, hresultOf(error), error);
        }
      },
      powerOff: () => endpoint.powerOff(),
      get failure() {
        return endpoint.failure;
      },
    },
  };
}

function invalidEntry(name: string, document: string, problem: DocumentProblem): Error {
  return invalidDocument(name, document, [problem]);
}

function hresultOf(error: unknown): number | undefined {
  const { hresult } = (error ?? {}) as { readonly hresult?: unknown };
  return typeof hresult === 'number' ? hresult : undefined;
}
