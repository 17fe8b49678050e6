import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { DocumentField } from '../../src/compute/document-fields.ts';
import { planMachine } from '../../src/engines/qemu/document.ts';
import {
  checkDocument,
  memoryBytes,
  savedStatePath,
  stopsOnReset,
} from '../../src/engines/simulated/document.ts';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { arrayTypes, fieldTypes, mapTypes } from '../../src/hcs/schema/json-schema.ts';
import { ENUM_TYPES, type EnumType } from '../../src/hcs/schema/schema-types.ts';
import { documentProblems } from '../../src/hcs/schema/validate.ts';
import { tinyKernel } from '../guest/tiny-kernel.ts';
import { QEMU_ROWS, SIMULATED_ROWS, withFieldTable } from './document-fields.ts';

type Json = Record<string, unknown>;

const folder = mkdtempSync(join(tmpdir(), 'hdvkit-document-fields-'));
const section = join('/dev/shm', `${basename(folder)}.section`);
const file = (name: string, size: number, path = join(folder, name)): string => {
  writeFileSync(path, '');
  truncateSync(path, size);
  return path;
};
const MIB = 1024 * 1024;
const disk = file('disk.raw', MIB);
const kernel = file('kernel', 0);
writeFileSync(kernel, tinyKernel());
const image = file('memory.raw', 4 * MIB);
file('', 2 * 4096, section);
const share = join(folder, 'share');
mkdirSync(share);
afterAll(() => {
  rmSync(folder, { recursive: true });
  rmSync(section);
});

const GUID = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01';
/** The id of a service that is a vsock port. */
const SERVICE = '00001388-facb-11e6-bd58-64006a7986d3';
/** MicrosoftUEFICertificateAuthority. */
const SECURE_BOOT = '272e7447-90a4-4563-a4b9-8e4ab00526ce';

/** Fields that an object needs to be looked at, by its path. */
const needs: Record<string, Json> = {
  'ComputeTopology.Numa.Settings.*': {
    VirtualNodeNumber: 0,
    CountOfProcessors: 1,
    CountOfMemoryBlocks: 512,
  },
  'Chipset.Uefi.BootThis': {
    DeviceType: 'VmbFs',
    VmbFsRootPath: folder,
    DevicePath: '\\kernel',
  },
  'Chipset.LinuxKernelDirect': { KernelFilePath: kernel },
  'Devices.Scsi.*.Attachments.*': { Path: disk },
  'Devices.VirtioSerial.Ports.*': { NamedPipe: join(folder, 'serial') },
  'Devices.VirtualPMem': { Devices: { 0: { HostPath: image } } },
  'Devices.VirtualPMem.Devices.*': { HostPath: image },
  'Devices.VirtualSmb.Shares.*': { Name: 'share', Path: share },
  'Devices.Plan9.Shares.*': { Name: 'share', Path: share },
  'Devices.SharedMemory.Regions.*': { SectionName: basename(section) },
  GuestState: { GuestStateFilePath: disk },
};

/** What a machine needs elsewhere for a field to say something. */
const around: Record<string, Json> = {
  'Chipset.Uefi.ApplySecureBootTemplate': {
    Chipset: { Uefi: { SecureBootTemplateId: SECURE_BOOT } },
  },
  'Chipset.Uefi.BootThis.DiskNumber': {
    Chipset: { Uefi: { BootThis: { DeviceType: 'ScsiDrive', DevicePath: 'a' } } },
    Devices: { Scsi: { a: { Attachments: { 0: { Path: disk }, 1: { Path: disk } } } } },
  },
  'Services.Heartbeat': { GuestConnection: {} },
};

/** Values that say something, where the first of the type would not. */
const values: Record<string, unknown> = {
  'Chipset.Uefi.SecureBootTemplateId': SECURE_BOOT,
  'Chipset.Uefi.ApplySecureBootTemplate': 'Apply',
  'Chipset.Uefi.BootThis.DeviceType': 'VmbFs',
  'Chipset.Uefi.BootThis.DevicePath': 'kernel',
  'Chipset.Uefi.BootThis.VmbFsRootPath': folder,
  'Chipset.LinuxKernelDirect.KernelFilePath': kernel,
  'Chipset.LinuxKernelDirect.InitRdPath': disk,
  'ComputeTopology.Memory.SizeInMB': 96,
  'ComputeTopology.Memory.SlitType': 'Firmware',
  'ComputeTopology.Numa.PreferredPhysicalNodes.*': 0,
  'ComputeTopology.Numa.Settings.*.VirtualNodeNumber': 0,
  'ComputeTopology.Numa.Settings.*.PhysicalNodeNumber': 0,
  'ComputeTopology.Numa.Settings.*.VirtualSocketNumber': 0,
  'ComputeTopology.Numa.Settings.*.CountOfMemoryBlocks': 512,
  'ComputeTopology.Numa.MaxSizePerNode': 256,
  'ComputeTopology.Processor.Count': 3,
  'Devices.ComPorts.*.NamedPipe': join(folder, 'com'),
  'Devices.VirtioSerial.Ports.*.NamedPipe': join(folder, 'serial'),
  'Devices.Scsi.*.Attachments.*.Type': 'Iso',
  'Devices.Scsi.*.Attachments.*.Path': disk,
  'Devices.Scsi.*.Attachments.*.CachingMode': 'Uncached',
  'Devices.VirtualPMem.Devices.*.HostPath': image,
  'Devices.VirtualPMem.MaximumCount': 0,
  'Devices.VirtualPMem.MaximumSizeBytes': MIB,
  'Devices.VirtualPMem.Devices.*.ImageFormat': 'Vhd1',
  'Devices.VirtualPMem.Devices.*.SizeBytes': 2 * MIB,
  'Devices.NetworkAdapters.*.EndpointId': GUID,
  'Devices.NetworkAdapters.*.ConnectionState': 'Disabled',
  'Devices.NetworkAdapters.*.IsConnected': false,
  'Devices.VideoMonitor.ConnectionOptions.NamedPipe': join(folder, 'vnc'),
  'Devices.GuestCrashReporting.WindowsCrashSettings.DumpFileName': join(folder, 'dump'),
  'Devices.VirtualSmb.Shares.*.Name': 'share',
  'Devices.VirtualSmb.Shares.*.Path': share,
  'Devices.Plan9.Shares.*.Name': 'share',
  'Devices.Plan9.Shares.*.AccessName': 'other',
  'Devices.Plan9.Shares.*.Path': share,
  'Devices.SharedMemory.Regions.*.SectionName': basename(section),
  'Devices.SharedMemory.Regions.*.StartOffset': 4096,
  'Devices.SharedMemory.Regions.*.Length': 4096,
  'Devices.FlexibleIov.*.HostingModel': 'External',
  'GuestState.GuestStateFilePath': disk,
  'RestoreState.SaveStateFilePath': disk,
  'DebugOptions.BugcheckSavedStateFileName': join(folder, 'saved'),
  'DebugOptions.BugcheckNoCrashdumpSavedStateFileName': join(folder, 'saved'),
  'DebugOptions.ShutdownOrResetSavedStateFileName': join(folder, 'saved'),
};

const scalars: Record<string, unknown> = {
  bool: true,
  string: 'x',
  Guid: GUID,
  ByteArray: 'AAAA',
  MacAddress: '00-15-5D-00-00-01',
};

function fieldValue(path: string, type: string): unknown {
  if (Object.hasOwn(values, path)) return values[path];
  if (type in ENUM_TYPES) return ENUM_TYPES[type as EnumType].find((word) => word !== '');
  if (fieldTypes(type) !== undefined) return {};
  return scalars[type] ?? 1;
}

const guidFor = (path: string): string => (path.endsWith('.ServiceTable') ? SERVICE : GUID);

/** A VirtualMachine with a field, or with all but it. */
function machineWith({ path, type }: DocumentField, isThere: boolean): Json {
  const root: Json = { Chipset: { Uefi: {} }, ...structuredClone(around[path]) };
  let at = '';
  let of = 'VirtualMachine';
  let object: unknown = root;
  const names = path.split('.');
  names.forEach((name, i) => {
    Object.assign(object as Json, { ...structuredClone(needs[at]), ...(object as Json) });
    const isLast = i === names.length - 1;
    const [keyType, element = arrayTypes(of)?.element] = mapTypes(of) ?? [];
    const next = name === '*' ? (element as string) : (fieldTypes(of)?.[name] as string);
    const key =
      name !== '*' ? name : keyType === 'Guid' ? guidFor(at) : keyType === 'string' ? 'a' : '0';
    at = at === '' ? name : `${at}.${name}`;
    const made = isLast ? fieldValue(path, type) : arrayTypes(next) === undefined ? {} : [];
    const parent = object as Json;
    if (!isLast) putFirst(parent, key, parent[key] ?? made);
    else if (isThere) putFirst(parent, key, made);
    else delete parent[key];
    object = parent[key];
    of = next;
  });
  if (path.startsWith('Chipset.LinuxKernelDirect')) delete (root.Chipset as Json).Uefi;
  return root;
}

/** What is refused is the first that cannot be honoured. */
function putFirst(object: Json, key: string, value: unknown): void {
  if (Array.isArray(object)) {
    object[Number(key)] = value;
    return;
  }
  const others = Object.entries(object).filter(([name]) => name !== key);
  for (const [name] of others) delete object[name];
  Object.assign(object, { [key]: value }, Object.fromEntries(others));
}

const documentWith = (field: DocumentField, isThere = true): Json => ({
  VirtualMachine: machineWith(field, isThere),
});

function failureOf(call: () => unknown): HcsError | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (error instanceof HcsError) return error;
    throw error;
  }
}

/** What the service honours before the engine is asked, or hands to it apart from the document. */
const ofService =
  /^(Chipset|Services\.Shutdown|Devices\.FlexibleIov\..*|RestoreState\.TemplateSystemId|.*CpuGroup\.Id)$/;

/** Fields that make no other machine, but refuse one: of these a value is tested that is too small. */
const limits = /^Devices\.VirtualPMem\.Maximum/;

const hosts = [
  {
    host: 'linux',
    rows: QEMU_ROWS,
    plan: (document: Json): unknown =>
      planMachine(document, { [GUID]: { kind: 'tap', interface: 'tap0' } }),
  },
  {
    host: 'simulated',
    rows: SIMULATED_ROWS,
    plan: (document: Json): unknown => {
      checkDocument(document);
      return [memoryBytes(document), stopsOnReset(document), savedStatePath(document)];
    },
  },
] as const;

describe.each(hosts)('the host $host', ({ rows, plan }) => {
  test.each(rows.filter(({ use }) => use === 'honoured').map((row) => [row.path, row] as const))(
    'honours %s',
    (path, row) => {
      const document = documentWith(row);
      expect(documentProblems('ComputeSystem', document)).toEqual([]);
      if (limits.test(path)) {
        expect(failureOf(() => plan(document))?.reason).toContain(path.split('.').at(-1));
        return;
      }
      const planned = plan(document);
      if (ofService.test(path)) return;
      const without = documentWith(row, false);
      // A document that cannot do without the field says so; any other makes another machine.
      if (failureOf(() => plan(without)) === undefined) {
        expect(plan(without)).not.toEqual(planned);
      }
    },
  );

  const idle = rows.filter(({ use }) => typeof use === 'object' && 'noEffect' in use);
  test.each(idle.map((row) => [row.path, row] as const))('takes %s without effect', (_, row) => {
    const document = documentWith(row);
    expect(documentProblems('ComputeSystem', document)).toEqual([]);
    expect(plan(document)).toEqual(plan(documentWith(row, false)));
  });

  const refused = rows.filter(({ use }) => typeof use === 'object' && 'refused' in use);
  test.each(refused.map((row) => [row.path, row] as const))('refuses %s', (path, row) => {
    const document = documentWith(row);
    expect(documentProblems('ComputeSystem', document)).toEqual([]);
    const error = failureOf(() => plan(document));
    expect(error?.code).toBe('E_NOTIMPL');
    // The object that it is in may be what is refused.
    const at = error?.path?.replace('$.VirtualMachine.', '').replaceAll(/\[[^\]]*\]/g, '.*');
    expect(`${path}.`.startsWith(`${at}.`)).toBe(true);
    const { refused: reason } = row.use as { readonly refused: string };
    expect(error?.reason).toContain(`: ${reason}`);
  });
});

test('docs/documents.md has the table of fields as the engines have it', () => {
  const page = readFileSync(new URL('../../docs/documents.md', import.meta.url), 'utf8');
  expect(withFieldTable(page)).toBe(page);
});

test('every field of the schema is in the table, once', () => {
  for (const { rows } of hosts) {
    const paths = rows.map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths.length).toBeGreaterThan(200);
  }
});
