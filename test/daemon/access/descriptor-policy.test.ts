import { describe, expect, test } from 'vitest';
import type { CreateRequest } from '../../../src/compute/service-access.ts';
import { DescriptorPolicy } from '../../../src/daemon/access/descriptor-policy.ts';
import { descriptorFor } from '../../../src/daemon/access/may-access.ts';
import { SddlError } from '../../../src/daemon/access/sddl-error.ts';

const OWN = { pid: 1, uid: process.getuid?.() ?? 0, gid: 4000 };
const ANN = { pid: 2, uid: 4001, gid: 4001, groups: [44] };
const BOB = { pid: 3, uid: 4002, gid: 4002, groups: [] };

const CREATE = { function: 'HcsCreateComputeSystem' } as CreateRequest;
const SYSTEMS: Readonly<Record<string, string>> = {
  ann: descriptorFor(ANN, undefined),
  shared: descriptorFor(ANN, 'D:(A;;GA;;;S-1-22-1-4001)(A;;GR;;;WD)'),
  broken: 'D:(A;;GA;;;nobody)',
};
const descriptorOf = ({ id }: { readonly id: string }): string | undefined => SYSTEMS[id];

describe('the clients of the daemon', () => {
  test('see and open the systems whose descriptors let them', () => {
    const policy = new DescriptorPolicy({ descriptorOf });
    const seen = (peer: typeof ANN): string[] =>
      ['ann', 'shared', 'broken', 'none'].flatMap((id) => [
        ...[...(policy.rights(peer, { idNamespace: '', id }) ?? ['no'])].map((to) => `${to} ${id}`),
      ]);
    const all = (id: string): string[] =>
      ['read', 'write', 'execute', 'delete'].map((to) => `${to} ${id}`);
    expect(seen(ANN)).toEqual([...all('ann'), ...all('shared'), 'no none']);
    expect(seen(BOB)).toEqual(['read shared', 'no none']);
  });

  test('are those of the user of the daemon and root, when nothing else is said', () => {
    const policy = new DescriptorPolicy({ descriptorOf });
    policy.admit(OWN);
    policy.create(OWN, CREATE);
    policy.callService(OWN, 'HcsModifyServiceSettings');
    expect(() => policy.admit(BOB)).toThrow('user 4002 may not use the service');
  });

  test('connect, create and change the service as its descriptor says', () => {
    const service = 'D:(A;;GRGW;;;S-1-22-2-44)(A;;GR;;;S-1-22-1-4002)';
    const policy = new DescriptorPolicy({ service, descriptorOf });
    policy.create(ANN, CREATE);
    expect(() => policy.callService(ANN, 'HcsModifyServiceSettings')).toThrow(
      'user 4001 may not change the service',
    );
    policy.admit(BOB);
    expect(() => policy.create(BOB, CREATE)).toThrow(
      expect.objectContaining({ code: 'HCS_E_ACCESS_DENIED', function: 'HcsCreateComputeSystem' }),
    );
    expect(() => policy.admit(OWN)).toThrow('may not use the service');
  });

  test('are not served by a descriptor that cannot be honoured', () => {
    expect(() => new DescriptorPolicy({ service: 'D:(A', descriptorOf })).toThrow(SddlError);
  });
});
