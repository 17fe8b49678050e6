import { createHash } from 'node:crypto';
import type { ResourceChange } from '../../../compute/engine.ts';
import type { NetworkAdapter } from '../../../hcs/schema/documents.ts';
import { ADAPTER_FIELDS } from '../document-fields.ts';
import type { LiveMachine } from '../live-machine.ts';
import type { NetworkEndpoint, NetworkEndpoints, PlannedAdapter } from '../machine-plan.ts';
import type { Part } from '../part.ts';
import { refuseFields, resourceFailure } from './resource-failure.ts';

/** Network adapters of a document. */
export function planAdapters(
  adapters: Readonly<Record<string, NetworkAdapter>>,
  endpoints: NetworkEndpoints,
): readonly PlannedAdapter[] {
  return Object.entries(adapters).map(([id, adapter]) =>
    planAdapter(`$.VirtualMachine.Devices.NetworkAdapters["${id}"]`, id, adapter, endpoints),
  );
}

function planAdapter(
  at: string,
  key: string,
  adapter: NetworkAdapter,
  endpoints: NetworkEndpoints,
): PlannedAdapter {
  const id = adapterId(key);
  if (!/^[\w.-]{1,64}$/.test(id)) {
    throw resourceFailure('E_INVALIDARG', `${at}: use a GUID as the adapter's id`);
  }
  refuseFields(at, 'NetworkAdapter', adapter, ADAPTER_FIELDS);
  const { EndpointId, MacAddress, ConnectionState, IsConnected = true } = adapter;
  return {
    id,
    endpoint: EndpointId === undefined ? { kind: 'user' } : endpointOf(at, EndpointId, endpoints),
    endpointId: EndpointId?.toLowerCase(),
    mac: MacAddress === undefined ? undefined : macOf(`${at}.MacAddress`, MacAddress),
    isConnected: IsConnected && ConnectionState !== 'Disabled',
  };
}

function endpointOf(at: string, id: string, endpoints: NetworkEndpoints): NetworkEndpoint {
  const found = Object.entries(endpoints).find(([key]) => key.toLowerCase() === id.toLowerCase());
  if (found !== undefined) return found[1];
  throw resourceFailure(
    'ERROR_NOT_FOUND',
    `${at}.EndpointId is ${id}, which this host does not know: say what it is by the engine's option networkEndpoints ({ "${id}": { kind: 'tap', interface: 'tap0' } }), or leave it out for a network of user mode`,
  );
}

function macOf(at: string, text: string): string {
  const isMac = /^[0-9a-f]{2}([-:][0-9a-f]{2}){5}$/i.test(text);
  if (isMac && (Number.parseInt(text.slice(0, 2), 16) & 1) === 0) {
    return text.replaceAll('-', ':').toLowerCase();
  }
  throw resourceFailure(
    'E_INVALIDARG',
    isMac
      ? `${at} is "${text}": that is the address of a group; the first byte of an adapter's is even`
      : `${at} is "${text}": write six bytes in hexadecimal with dashes, like 00-15-5D-00-00-01`,
  );
}

/** A locally administered address, the same each time. */
function derivedMac(runtimeId: string, id: string): string {
  const hash = createHash('sha256').update(`${runtimeId.toLowerCase()} ${id}`).digest('hex');
  return `52:54:00:${hash.slice(0, 2)}:${hash.slice(2, 4)}:${hash.slice(4, 6)}`;
}

function adapterId(key: string): string {
  return key.replace(/[{}]/g, '').toLowerCase();
}

/** Id in QEMU of the device of an adapter, by its key in the document. */
export function adapterDevice(key: string): string {
  return `net-${adapterId(key)}`;
}

/** An adapter for QEMU. */
export function adapterPart(adapter: PlannedAdapter, runtimeId: string): Part {
  const id = adapterDevice(adapter.id);
  const net = `net-of-${adapter.id}`;
  return {
    id,
    backends: [
      {
        option: '-netdev',
        add: ['netdev_add', { id: net, ...netdevOf(adapter.endpoint) }],
        remove: ['netdev_del', { id: net }],
      },
    ],
    device: {
      driver: 'virtio-net-pci',
      netdev: net,
      mac: adapter.mac ?? derivedMac(runtimeId, adapter.id),
      // Nobody boots over a network by chance.
      romfile: '',
    },
    isPci: true,
  };
}

function netdevOf(endpoint: NetworkEndpoint): Readonly<Record<string, unknown>> {
  switch (endpoint.kind) {
    case 'user':
      return { type: 'user' };
    case 'tap':
      return { type: 'tap', ifname: endpoint.interface, script: 'no', downscript: 'no' };
    case 'stream':
      return { type: 'stream', server: false, addr: { type: 'unix', path: endpoint.path } };
  }
}

/** Adds, removes, connects or disconnects an adapter. */
export async function changeAdapter(
  machine: LiveMachine,
  { keys: [key = ''], request, settings }: ResourceChange,
): Promise<void> {
  const id = key.toLowerCase();
  const what = `network adapter ${key}`;
  const there = machine.plan.adapters.find((adapter) => adapter.id === id);
  const others = machine.plan.adapters.filter((adapter) => adapter !== there);
  if (request === 'Add') {
    if (there !== undefined) {
      throw resourceFailure('ERROR_ALREADY_EXISTS', `the machine has ${what} already`);
    }
    const adapter = planAdapter('$.Settings', key, settings as NetworkAdapter, machine.endpoints);
    try {
      await machine.plug(adapterPart(adapter, machine.runtimeId));
    } catch (error) {
      throw adapterFailure(adapter, error);
    }
    if (!adapter.isConnected) await setLink(machine, adapter);
    machine.plan = { ...machine.plan, adapters: [...others, adapter] };
    return;
  }
  if (there === undefined) {
    throw resourceFailure('ERROR_NOT_FOUND', `the machine has no ${what}`);
  }
  if (request === 'Remove') {
    await machine.unplug(adapterPart(there, machine.runtimeId), what);
    machine.plan = { ...machine.plan, adapters: others };
    return;
  }
  const adapter = planAdapter(
    '$.Settings',
    key,
    // What is not said stays.
    {
      ...(there.endpointId === undefined ? {} : { EndpointId: there.endpointId }),
      ...(there.mac === undefined ? {} : { MacAddress: there.mac }),
      ...(settings as NetworkAdapter),
    },
    machine.endpoints,
  );
  if (adapter.mac !== there.mac || adapter.endpointId !== there.endpointId) {
    throw resourceFailure(
      'ERROR_NOT_SUPPORTED',
      `EndpointId and MacAddress of ${what} cannot be changed: remove it and add it again`,
    );
  }
  await setLink(machine, adapter);
  machine.plan = { ...machine.plan, adapters: [...others, adapter] };
}

/** Connects or disconnects the cable. */
export async function setLink({ qmp }: LiveMachine, adapter: PlannedAdapter): Promise<void> {
  await qmp.execute('set_link', { name: `net-${adapter.id}`, up: adapter.isConnected });
}

function adapterFailure({ endpoint, id }: PlannedAdapter, error: unknown): Error {
  const reason = error instanceof Error ? error.message : String(error);
  const where =
    endpoint.kind === 'tap'
      ? ` to the interface ${endpoint.interface}`
      : endpoint.kind === 'stream'
        ? ` to the socket ${endpoint.path}`
        : '';
  return resourceFailure(
    'E_FAIL',
    `Cannot connect network adapter ${id}${where}: ${reason}`,
    error,
  );
}
