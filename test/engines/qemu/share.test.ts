import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startShare } from '../../../src/engines/qemu/resources/virtiofs.ts';
import type { SideProcess } from '../../../src/engines/qemu/side-process.ts';
import type { SideProcessRequest } from '../../../src/engines/qemu/side-processes.ts';
import type { SideProgram } from '../../../src/provision/find-side-program.ts';

const ACCOUNT = { uid: 0x7000_1234, gid: 0x7000_0000 };
const PROGRAM: SideProgram = {
  name: 'virtiofsd',
  command: '/virtiofsd',
  args: [],
  version: '1',
  source: 'installed',
};

let path: string;
let warnings: string[];
const listen = ({ message }: Error): void => void warnings.push(message);

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'hdvs-'));
  warnings = [];
  process.on('warning', listen);
});

afterEach(() => {
  process.off('warning', listen);
  delete process.env.HDVKIT_SHARES_AS_SERVICE;
  rmSync(path, { recursive: true, force: true });
});

/** As whom virtiofsd was started for a share, when it says this where it has the account of a machine. */
async function startedAs(said: string): Promise<unknown[]> {
  const users: unknown[] = [];
  const sides = {
    account: ACCOUNT,
    async start(_device: string, request: SideProcessRequest): Promise<SideProcess> {
      const account = 'account' in request ? request.account : ACCOUNT;
      users.push(account);
      if (account !== undefined) throw new Error(`virtiofsd did not start: ${said}`);
      return {} as SideProcess;
    },
  };
  const share = { tag: 'data', kind: 'VirtualSmb', path, readOnly: false } as const;
  await startShare(sides, share, false, () => Promise.resolve(PROGRAM));
  return users;
}

test.for([
  ['EPERM', 'ERROR virtiofsd] Error entering sandbox: Unshare(Os { code: 1, kind: Perm'],
  ['EINVAL', 'ERROR virtiofsd] Error entering sandbox: Unshare(Os { code: 22, kind: Inv'],
  ['ENOSYS', 'ERROR virtiofsd] Error entering sandbox: Unshare(Os { code: 38, kind: Uns'],
] as const)(
  'a share is served by the service where the system has no namespaces for anybody: %s',
  async ([, said]) => {
    expect(await startedAs(said)).toEqual([ACCOUNT, undefined]);
    await new Promise(setImmediate);
    expect(warnings).toEqual([expect.stringContaining('served with the rights of the service')]);
  },
);

test.for([
  'ERROR virtiofsd] Error entering sandbox: Unshare(Os { code: 28, kind: StorageFull',
  'ERROR virtiofsd] Error creating listener: Os { code: 13',
  'it was ended by SIGKILL',
])(
  'it is refused where virtiofsd fails otherwise, unless the operator says so: %s',
  async (said) => {
    const refused = startedAs(said);
    await expect(refused).rejects.toMatchObject({ code: 'E_ACCESSDENIED' });
    await expect(refused).rejects.toThrow(`${said}; HDVKIT_SHARES_AS_SERVICE=1 in the environment`);
    expect(warnings).toEqual([]);
    process.env.HDVKIT_SHARES_AS_SERVICE = '1';
    expect(await startedAs(said)).toEqual([ACCOUNT, undefined]);
  },
);
