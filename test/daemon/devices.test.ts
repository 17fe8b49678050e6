import { afterEach, beforeEach, expect, test } from 'vitest';
import { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import type { RemoteService } from '../../src/daemon/remote-service.ts';
import { GENERIC_ALL } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import {
  CLASS_ID,
  codeOf,
  deviceRequest,
  errorOf,
  INSTANCE,
  RecordedEndpoint,
  vm,
} from '../compute/recording-engine.ts';
import { InProcessDaemon } from './in-process.ts';
import { runOperation } from './run-operation.ts';

let under: InProcessDaemon;
let remote: RemoteService;
let core: ComputeFunctions;
let system: HCS_SYSTEM;

const key = { systemId: 'vm', classId: CLASS_ID, instanceId: INSTANCE };

const run = (start: (operation: HCS_OPERATION) => void, on = core) => runOperation(on, start);

const modify = (request: object) =>
  run((o) => core.HcsModifyComputeSystem(system, o, JSON.stringify(request), null));

beforeEach(async () => {
  under = new InProcessDaemon({ host: 'linux' });
  remote = under.remote();
  core = new ComputeFunctions(remote);
  await run((operation) => {
    system = core.HcsCreateComputeSystem('vm', JSON.stringify(vm()), operation, null);
  });
  await run((operation) => core.HcsStartComputeSystem(system, operation, null));
});

afterEach(() => under.close());

test('of a client are powered on and off where they are, with their configuration', async () => {
  const endpoint = new RecordedEndpoint();
  await remote.register(key, endpoint);
  await modify(deviceRequest('Add', INSTANCE));
  expect(under.engine.machine.connected.get(INSTANCE)).toEqual({ kind: 'test' });
  await modify(deviceRequest('Remove', INSTANCE));
  expect(endpoint.log).toEqual([expect.stringMatching(/^on /), 'off']);
});

test('say why they refuse, in the failure of the call', async () => {
  const endpoint = new RecordedEndpoint();
  endpoint.refusal = new Error('the second string is no number');
  await remote.register(key, endpoint);
  const { reason } = await errorOf(() => modify(deviceRequest('Add', INSTANCE)));
  expect(reason).toContain('the second string is no number');
});

test('tell why they have failed when they are asked', async () => {
  const endpoint = Object.assign(new RecordedEndpoint(), { failure: new Error('no more pages') });
  await remote.register(key, endpoint);
  const found = await under.directory.find(key)?.failure;
  expect(found).toMatchObject({ reason: 'no more pages' });
});

test('need an open handle of their system, and an instance id of their own', async () => {
  await remote.register(key, new RecordedEndpoint());
  expect(await codeOf(() => remote.register(key, new RecordedEndpoint()))).toBe(
    'ERROR_ALREADY_EXISTS',
  );
  const stranger = under.remote();
  const announce = () =>
    stranger.register({ ...key, instanceId: CLASS_ID }, new RecordedEndpoint());
  expect(await codeOf(announce)).toBe('ERROR_INVALID_HANDLE');
  await new ComputeFunctions(stranger).HcsOpenComputeSystem('vm', GENERIC_ALL);
  await announce();
});

test('are free again once they are withdrawn, and when their client is gone', async () => {
  const withdraw = await remote.register(key, new RecordedEndpoint());
  await withdraw();
  expect(under.directory.find(key)).toBeUndefined();
  const other = under.remote();
  await new ComputeFunctions(other).HcsOpenComputeSystem('vm', GENERIC_ALL);
  await other.register(key, new RecordedEndpoint());
  expect(under.directory.find(key)).toBeDefined();
  await other.close();
  while (under.directory.find(key) !== undefined) await new Promise((r) => setImmediate(r));
  await remote.register(key, new RecordedEndpoint());
});

test('of a client that dies while one is powered on fail the call by name', async () => {
  const other = under.remote();
  await new ComputeFunctions(other).HcsOpenComputeSystem('vm', GENERIC_ALL);
  const endpoint = new RecordedEndpoint();
  endpoint.powerOn = () => {
    void other.close();
    return new Promise(() => {});
  };
  await other.register(key, endpoint);
  const { reason } = await errorOf(() => modify(deviceRequest('Add', INSTANCE)));
  expect(reason).toContain('the process of its device host has ended');
});
