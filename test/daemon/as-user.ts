/**
 * A program for tests, run as another user: does with a system of the daemon at a socket what each argument says, and prints
 * how each ended, as JSON: `as-user.ts SOCKET list open=ID start terminate create=ID`. `started` or the name of an HRESULT.
 */
import { connectService } from '../../src/daemon/connect-service.ts';
import { stopService } from '../../src/daemon/stop-service.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { HcsError } from '../../src/hcs/hcs-error.ts';

const [socket = '', ...deeds] = process.argv.slice(2);
const MACHINE = { VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 } } } };
const outcomes: Record<string, unknown> = {};

async function outcomeOf(deed: () => Promise<unknown>): Promise<unknown> {
  try {
    return (await deed()) ?? 'done';
  } catch (error) {
    return error instanceof HcsError ? error.code : String(error);
  }
}

const connection = await connectService({ socket }).catch((error: HcsError) => error);
if (connection instanceof Error) {
  console.log(JSON.stringify({ connect: connection.code, reason: connection.reason }));
} else {
  const { core } = connection;
  let system: ComputeSystem | undefined;
  for (const deed of deeds) {
    const [what = '', id = ''] = deed.split('=');
    outcomes[deed] = await outcomeOf(async () => {
      if (what === 'list') {
        return (await ComputeSystem.enumerate(undefined, { core })).map(({ Id }) => Id);
      }
      if (what === 'open') system = await ComputeSystem.open(id, { core });
      else if (what === 'create') system = await ComputeSystem.create(id, MACHINE, { core });
      else if (what === 'look') await core.HcsGetServiceProperties(null);
      else if (what === 'grant') await core.HcsGrantVmAccess(id, '/etc/hostname');
      else if (what === 'stop') await stopService({ socket, isSure: true });
      else if (what === 'start') await system?.start();
      else if (what === 'terminate') await system?.terminate();
      return undefined;
    });
  }
  console.log(JSON.stringify(outcomes));
  await system?.close();
  await connection.close();
}
