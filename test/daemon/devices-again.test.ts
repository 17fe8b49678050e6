import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import type { Adoption, EngineRequest } from '../../src/compute/engine.ts';
import type { DeviceNews } from '../../src/daemon/announced-devices.ts';
import { RemoteService } from '../../src/daemon/remote-service.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import {
  CLASS_ID,
  deviceRequest,
  INSTANCE,
  RecordedEndpoint,
  RecordedMachine,
  vm,
} from '../compute/recording-engine.ts';
import { InProcessDaemon } from './in-process.ts';

const key = { systemId: 'vm', classId: CLASS_ID, instanceId: INSTANCE };

let daemons: InProcessDaemon[];
let remote: RemoteService;
let endpoint: RecordedEndpoint;
let system: ComputeSystem;
let news: DeviceNews[];

/** A daemon that clients find from now on, over machines that are all running. */
function begin(devices: readonly string[] = []): InProcessDaemon {
  const daemon = new InProcessDaemon({ host: 'linux' });
  Object.assign(daemon.engine, {
    adopt: async (_record: unknown, request: EngineRequest): Promise<Adoption> => {
      const machine = new RecordedMachine(daemon.engine, request);
      daemon.engine.machines.push(machine);
      return { kind: 'machine', system: machine, state: 'Running', devices };
    },
  });
  daemons.push(daemon);
  return daemon;
}

/** The first daemon dies, and another one follows, whose machines have these devices. */
async function follow(devices: readonly string[]): Promise<InProcessDaemon> {
  const [first] = daemons;
  const { records } = first!.service;
  const second = begin(devices);
  await second.service.takeOver(records.map((record) => ({ ...record, engineRecord: {} })));
  first!.dropClients();
  return second;
}

const found = (): unknown => daemons.at(-1)!.directory.find(key);

beforeEach(async () => {
  daemons = [];
  endpoint = new RecordedEndpoint();
  news = [];
  begin();
  remote = new RemoteService({
    connect: () => daemons.at(-1)!.connect(),
    greetingLimitMs: 30_000,
    deviceNews: (what) => news.push(what),
  });
  system = await ComputeSystem.create('vm', vm(), { core: new ComputeFunctions(remote) });
  await system.start();
});

afterEach(async () => {
  await remote.close();
  for (const daemon of daemons.reverse()) await daemon.close();
});

test('a device in a machine is announced to the daemon that follows, and powered off by the end', async () => {
  await remote.register(key, endpoint);
  await system.modify(deviceRequest('Add', INSTANCE));
  const second = await follow([INSTANCE]);
  await expect.poll(() => news).toEqual([{ type: 'announced', key }]);
  expect(found()).toBeDefined();
  expect(endpoint.log).toEqual(['on port=1']);
  const again = await ComputeSystem.open('vm', { core: second.core() });
  await again.modify(deviceRequest('Remove', INSTANCE));
  expect(endpoint.log).toEqual(['on port=1', 'off']);
  // It is there still, and can be added again.
  await again.modify(deviceRequest('Add', INSTANCE));
  await again.terminate();
  expect(endpoint.log).toEqual(['on port=1', 'off', 'on port=1', 'off']);
});

test('one that is in no machine any more is powered off, and can be added again', async () => {
  await remote.register(key, endpoint);
  await system.modify(deviceRequest('Add', INSTANCE));
  const second = await follow([]);
  await expect.poll(() => endpoint.log).toEqual(['on port=1', 'off']);
  const again = await ComputeSystem.open('vm', { core: second.core() });
  await again.modify(deviceRequest('Add', INSTANCE));
  expect(endpoint.log).toEqual(['on port=1', 'off', 'on port=1']);
});

test('one whose machine is gone is powered off and forgotten, one that is withdrawn is not announced', async () => {
  await remote.register(key, endpoint);
  await system.modify(deviceRequest('Add', INSTANCE));
  const withdrawn = new RecordedEndpoint();
  const other = { ...key, instanceId: CLASS_ID };
  const withdraw = await remote.register(other, withdrawn);
  await withdraw();
  const second = begin();
  daemons[0]!.dropClients();
  await expect.poll(() => endpoint.log).toEqual(['on port=1', 'off']);
  expect([found(), second.directory.find(other)]).toEqual([undefined, undefined]);
  expect(news).toEqual([{ type: 'forgotten', key }]);
});

test('one that the daemon that follows never takes is given up aloud, and keeps no other one', async () => {
  await remote.register(key, endpoint);
  const other = { ...key, instanceId: CLASS_ID };
  await remote.register(other, new RecordedEndpoint());
  const [first] = daemons;
  const second = begin();
  // Somebody else has its instance id.
  second.directory.register(key, new RecordedEndpoint());
  await second.service.takeOver(
    first!.service.records.map((record) => ({ ...record, engineRecord: {} })),
  );
  first!.dropClients();
  await expect.poll(() => news.length, { timeout: 30_000 }).toBe(2);
  expect(news).toEqual([
    { type: 'announced', key: other },
    { type: 'givenUp', key, error: expect.objectContaining({ message: expect.any(String) }) },
  ]);
  expect((news[1] as { error: Error }).error.message).toMatch(
    new RegExp(`^Cannot announce device ${INSTANCE} of vm to the service that follows: .*taken`),
  );
});

test('it is withdrawn from the daemon that follows, whose handle of the system is closed by that', async () => {
  const withdraw = await remote.register(key, endpoint);
  const second = await follow([]);
  await expect.poll(found).toBeDefined();
  expect(second.daemon.handleCount).toBe(1);
  await withdraw();
  expect(found()).toBeUndefined();
  await expect.poll(() => second.daemon.handleCount).toBe(0);
  expect(endpoint.log).toEqual([]);
});

test('one that is withdrawn while it is announced to the daemon that follows is free when that is said', async () => {
  const withdraw = await remote.register(key, endpoint);
  const { directory } = await follow([]);
  const register = directory.register.bind(directory);
  const withdrawn = new Promise<void>((resolve, reject) => {
    directory.register = (...parameters) => {
      const entry = register(...parameters);
      // The client has not heard yet that it is there.
      Promise.resolve(withdraw()).then(resolve, reject);
      return entry;
    };
  });
  await withdrawn;
  expect(found()).toBeUndefined();
  expect(news).toEqual([]);
});

test('one whose machine has ended meanwhile is powered off, and leaves its end to be heard by others', async () => {
  await remote.register(key, endpoint);
  await system.modify(deviceRequest('Add', INSTANCE));
  const [first] = daemons;
  const exit = { ExitType: 'GracefulExit', Status: 0 } as const;
  const records = first!.service.records.map((record) => ({ ...record, exit }));
  const second = begin();
  await second.service.takeOver(records);
  first!.dropClients();
  await expect.poll(() => endpoint.log).toEqual(['on port=1', 'off']);
  expect([found(), second.daemon.handleCount]).toEqual([undefined, 0]);
  await remote.close();
  const again = await ComputeSystem.open('vm', { core: second.core() });
  expect(await again.exited).toMatchObject(exit);
});

test('a connection that is found when nobody wants it any more is closed', async () => {
  const second = begin();
  let find = (_socket: Socket): void => {};
  const socket = new Promise<Socket>((resolve) => {
    find = resolve;
  });
  let asked = 0;
  const looking = new RemoteService({
    connect: () => (asked++ === 0 ? daemons[0]!.connect() : socket),
    greetingLimitMs: 30_000,
  });
  const other = await ComputeSystem.open('vm', { core: new ComputeFunctions(looking) });
  await looking.register({ ...key, instanceId: CLASS_ID }, endpoint);
  daemons[0]!.dropClients();
  await expect.poll(() => asked).toBe(2);
  await looking.close();
  find(await second.connect());
  await expect.poll(async () => (await socket).destroyed).toBe(true);
  await other.close();
});
