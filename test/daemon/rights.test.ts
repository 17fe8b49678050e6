import { afterEach, expect, test } from 'vitest';
import type { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import { DescriptorPolicy } from '../../src/daemon/access/descriptor-policy.ts';
import type { PeerCredentials } from '../../src/daemon/access-policy.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { codeOf, vm } from '../compute/recording-engine.ts';
import { InProcessDaemon } from './in-process.ts';

const ANN: PeerCredentials = { pid: 2, uid: 4001, gid: 4001, groups: [44] };
const BOB: PeerCredentials = { pid: 3, uid: 4002, gid: 4002, groups: [] };

let daemon: InProcessDaemon | undefined;
let peer = ANN;
let lines: unknown[];

afterEach(async () => {
  await daemon?.close();
  daemon = undefined;
});

/** A daemon that everybody may use, and takes the next client for `peer`. */
function serve(): InProcessDaemon {
  lines = [];
  const served: InProcessDaemon = new InProcessDaemon({
    policy: new DescriptorPolicy({
      service: 'D:(A;;GRGW;;;WD)',
      descriptorOf: (system) => served.service.descriptorOf(system),
    }),
    audit: { record: (entry) => void lines.push(entry) },
    peerOf: () => peer,
  });
  return served;
}

async function coreOf(who: PeerCredentials): Promise<ComputeFunctions> {
  peer = who;
  const core = daemon!.core();
  const operation = core.HcsCreateOperation(null, null);
  core.HcsEnumerateComputeSystems(null, operation);
  await core.HcsWaitForOperationResult(operation, 10_000);
  core.HcsCloseOperation(operation);
  return core;
}

test("a system is its owner's alone unless its descriptor says more", async () => {
  daemon = serve();
  const [ann, bob] = [await coreOf(ANN), await coreOf(BOB)];
  const document = vm();
  const own = await ComputeSystem.create('own', document, { core: ann });
  const securityDescriptor = 'D:(A;;GA;;;S-1-22-1-4001)(A;;GRGX;;;S-1-22-1-4002)';
  const shared = await ComputeSystem.create('shared', document, { core: ann, securityDescriptor });
  const ids = async (core: ComputeFunctions): Promise<unknown[]> =>
    (await ComputeSystem.enumerate(undefined, { core })).map(({ Id }) => Id);
  expect(await ids(ann)).toEqual(['own', 'shared']);
  expect(await ids(bob)).toEqual(['shared']);
  expect(await codeOf(() => ComputeSystem.open('own', { core: bob }))).toBe('HCS_E_ACCESS_DENIED');
  expect(await codeOf(() => ComputeSystem.open('none', { core: bob }))).toBe(
    'HCS_E_SYSTEM_NOT_FOUND',
  );
  const opened = await ComputeSystem.open('shared', { core: bob });
  await opened.start();
  expect(await opened.properties()).toMatchObject({ State: 'Running' });
  expect(await codeOf(() => opened.terminate())).toBe('HCS_E_ACCESS_DENIED');
  const change = { ResourcePath: 'VirtualMachine/ComputeTopology/Memory/SizeInMB', Settings: 64 };
  expect(await codeOf(() => opened.modify(change))).toBe('HCS_E_ACCESS_DENIED');
  await shared.terminate();
  await own.terminate();
  expect(lines).toMatchObject([
    { peer: ANN, function: 'HcsCreateComputeSystem', system: { id: 'own' }, result: 0 },
    { peer: ANN, function: 'HcsCreateComputeSystem', system: { id: 'shared' }, result: 0 },
    { peer: BOB, function: 'HcsOpenComputeSystem', system: { id: 'own' }, result: 0x8037011b },
    { function: 'HcsOpenComputeSystem', system: { id: 'none' } },
    { function: 'HcsOpenComputeSystem', system: { id: 'shared' }, result: 0 },
    { function: 'HcsStartComputeSystem', system: { id: 'shared' }, result: 0 },
    { function: 'HcsTerminateComputeSystem', result: 0x8037011b },
    { function: 'HcsModifyComputeSystem', result: 0x8037011b },
    { peer: ANN, function: 'HcsTerminateComputeSystem', system: { id: 'shared' }, result: 0 },
    { peer: ANN, function: 'HcsTerminateComputeSystem', system: { id: 'own' }, result: 0 },
  ]);
});

test('a descriptor that cannot be honoured creates nothing, nor one of another owner', async () => {
  daemon = serve();
  const core = await coreOf(ANN);
  for (const securityDescriptor of ['D:(A;;GA', 'O:S-1-22-1-4002', 1n]) {
    const create = (): Promise<unknown> =>
      ComputeSystem.create('vm', vm(), { core, securityDescriptor });
    expect(await codeOf(create)).toBe('E_INVALIDARG');
  }
  expect(daemon.engine.machines).toEqual([]);
});
