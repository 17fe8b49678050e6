import type {
  CrashReport,
  ModificationRequest,
  Service_PropertyQuery,
  SystemQuery,
} from '../hcs/schema/documents.ts';
import { invalidDocument, parseDocument } from '../hcs/schema/validate.ts';
import type { Cancellation } from './cancellation.ts';
import { CpuGroups } from './cpu-groups.ts';
import { CrashReports } from './crash-reports.ts';
import type { DeviceKey } from './device-directory.ts';
import { failure } from './failure.ts';
import { FileFunctions } from './file-functions.ts';
import type { HostInformation } from './host-information.ts';
import { portableHost } from './portable-host.ts';
import type { ServedSystemRecord } from './served-system-record.ts';
import { type ComputeServiceOptions, ServedSystems } from './served-systems.ts';
import type { CreateRequest, Creation, ServiceAccess, SystemAccess } from './service-access.ts';
import { serviceProperties } from './service-properties.ts';
import { SystemGrants } from './system-grants.ts';
import { runtimeIdOf } from './system-id.ts';
import type { SystemListener } from './system-listener.ts';
import type { TakenOver } from './take-over.ts';

/** The service itself, in this process: systems, CPU groups, files and crash reports, over engines that run the systems. */
export class ServedService implements ServiceAccess, AsyncDisposable {
  readonly #systems: ServedSystems;
  readonly #files: FileFunctions;
  readonly #host: HostInformation;
  readonly #groups: CpuGroups;
  readonly #crashReports: CrashReports | undefined;
  readonly #grants: SystemGrants;

  constructor(options: ComputeServiceOptions) {
    this.#files = new FileFunctions(options.engines);
    this.#host = options.host ?? portableHost;
    this.#groups = new CpuGroups(this.#host, options.journal);
    this.#crashReports =
      options.crashReports === undefined ? undefined : new CrashReports(options.crashReports);
    this.#systems = new ServedSystems(
      options,
      this.#groups,
      (runtimeId) => void this.#grants.revoke(runtimeId),
    );
    this.#grants = new SystemGrants({
      files: this.#files,
      isThere: (runtimeId) => this.#systems.isThere(runtimeId),
      journal: options.journal,
    });
  }

  /** Systems that are there: neither ended, nor with devices that are still on. */
  get systemCount(): number {
    return this.#systems.count;
  }

  /** What another service would need to take the systems over, one record for each: plain values for JSON. */
  get records(): readonly ServedSystemRecord[] {
    return this.#systems.records;
  }

  /** Security descriptor of a system; undefined where there is no such system, `''` where none was given. */
  descriptorOf({
    idNamespace,
    id,
  }: {
    readonly idNamespace: string;
    readonly id: string;
  }): string | undefined {
    return this.#systems.descriptorOf(idNamespace, id);
  }

  /** Whether a system is there and has not ended. */
  hasSystem({ idNamespace, id }: { readonly idNamespace: string; readonly id: string }): boolean {
    return this.#systems.hasSystem(idNamespace, id);
  }

  /** Whether a device is in a machine; see {@link DeviceKey}. */
  hasDevice({ systemId, instanceId }: Pick<DeviceKey, 'systemId' | 'instanceId'>): boolean {
    return this.#systems.hasDevice(systemId, instanceId);
  }

  /**
   * Takes over the systems that another service has left, by the records that were kept of them, and ends machines that no
   * record speaks of. Called before anything else.
   */
  async takeOver(records: readonly ServedSystemRecord[]): Promise<readonly TakenOver[]> {
    const outcomes = await this.#systems.takeOver(records);
    await this.#grants.revokeOrphaned();
    return outcomes;
  }

  /** Lets the systems go on without this service, where their engine can; calls on their way are waited for. */
  async leave(): Promise<void> {
    await this.#systems.leaveAll();
    await this.#grants.settled();
  }

  /** Terminates every system. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#systems.terminateAll();
    await this.#grants.settled();
  }

  create(request: CreateRequest, listener: SystemListener): Creation {
    return this.#systems.create(request, listener);
  }

  async open(
    name: string,
    idNamespace: string,
    id: string,
    listener: SystemListener,
  ): Promise<SystemAccess> {
    return this.#systems.open(name, idNamespace, id, listener);
  }

  async enumerate(
    _name: string,
    idNamespace: string,
    query: SystemQuery,
    cancellation: Cancellation,
  ): Promise<string> {
    cancellation.begin();
    return JSON.stringify(this.#systems.enumerate(idNamespace, query));
  }

  async HcsGetServiceProperties(propertyQuery: string | null): Promise<string> {
    const name = 'HcsGetServiceProperties';
    const text = propertyQuery === null || propertyQuery === '' ? '{}' : propertyQuery;
    const query = parseDocument<Service_PropertyQuery>('Service_PropertyQuery', text, name);
    return JSON.stringify(serviceProperties(name, query, this.#host, this.#groups));
  }

  async HcsModifyServiceSettings(settings: string): Promise<string | null> {
    const name = 'HcsModifyServiceSettings';
    const request = parseDocument<ModificationRequest>('ModificationRequest', settings, name);
    const { PropertyType, Settings } = request;
    if (PropertyType === undefined || Settings === undefined) {
      const field = PropertyType === undefined ? 'PropertyType' : 'Settings';
      throw invalidDocument(name, 'ModificationRequest', [
        { path: `$.${field}`, message: 'is missing' },
      ]);
    }
    if (PropertyType !== 'CpuGroup') {
      throw failure(
        name,
        'ERROR_NOT_SUPPORTED',
        `$.PropertyType is ${PropertyType}: this host has no such thing, only CpuGroup can be changed`,
      );
    }
    this.#groups.modify(name, Settings);
    return null;
  }

  async HcsSubmitWerReport(settings: string): Promise<void> {
    const name = 'HcsSubmitWerReport';
    const report = parseDocument<CrashReport>('CrashReport', settings, name);
    if (this.#crashReports === undefined) {
      throw failure(name, 'ERROR_NOT_SUPPORTED', 'this service has no folder for crash reports');
    }
    await this.#crashReports.submit(name, report);
  }

  HcsCreateEmptyGuestStateFile(guestStateFilePath: string): Promise<void> {
    return this.#files.HcsCreateEmptyGuestStateFile(guestStateFilePath);
  }

  HcsCreateEmptyRuntimeStateFile(runtimeStateFilePath: string): Promise<void> {
    return this.#files.HcsCreateEmptyRuntimeStateFile(runtimeStateFilePath);
  }

  HcsGetProcessorCompatibilityFromSavedState(RuntimeFileName: string): Promise<string> {
    return this.#files.HcsGetProcessorCompatibilityFromSavedState(RuntimeFileName);
  }

  HcsGrantVmAccess(vmId: string, filePath: string): Promise<void> {
    return this.#grants.changeForGood('HcsGrantVmAccess', vmId, filePath);
  }

  HcsRevokeVmAccess(vmId: string, filePath: string): Promise<void> {
    return this.#grants.changeForGood('HcsRevokeVmAccess', vmId, filePath);
  }

  /** @param holder who asks for it; see {@link revokeUnlessThere} */
  grantUntilEnd(vmId: string, filePath: string, holder?: object): Promise<void> {
    return this.#grants.grant(vmId, filePath, holder);
  }

  /** Takes back what this holder alone was granted until the end of a system that is not there. */
  revokeUnlessThere(vmId: string, holder?: object): Promise<void> {
    return this.#grants.release(runtimeIdOf(vmId), holder);
  }

  HcsGrantVmGroupAccess(filePath: string): Promise<void> {
    return this.#files.HcsGrantVmGroupAccess(filePath);
  }

  HcsRevokeVmGroupAccess(filePath: string): Promise<void> {
    return this.#files.HcsRevokeVmGroupAccess(filePath);
  }
}
