/**
 * Makes machines that outlive this process, brings each where it is wanted, prints their records, and waits to be killed.
 * Its argument is an OwnerRequest as JSON.
 */
import { randomUUID } from 'node:crypto';
import { needsGrants } from '../../src/cli/vm/grant-files.ts';
import {
  addAdapter,
  lastingEngine,
  machineDocument,
  type OwnerRequest,
} from './lasting-machines.ts';

async function own({ folder, machines }: OwnerRequest): Promise<void> {
  const engine = lastingEngine(folder);
  const records = machines.map(async ({ id, state, isAhead = false, share }) => {
    const runtimeId = randomUUID();
    if (share !== undefined && needsGrants('linux'))
      await engine.files.grant({ kind: 'vm', systemId: id, runtimeId }, share);
    const system = await engine.create({
      id,
      runtimeId,
      document: machineDocument(folder, id, share),
      exited: ({ detail }) => console.error(`${id} ended: ${detail}`),
      notify: () => {},
    });
    if (state !== 'Created') await system.start([]);
    if (state === 'Paused' || state === 'SavedAsTemplate') await system.pause();
    if (state === 'SavedAsTemplate') await system.save({ kind: 'template' });
    const record = JSON.stringify(system.record?.());
    if (isAhead) await system.modify(addAdapter(randomUUID()));
    return JSON.parse(record) as unknown;
  });
  console.log(JSON.stringify(await Promise.all(records)));
  setInterval(() => {}, 60_000);
}

void own(JSON.parse(process.argv[2]!) as OwnerRequest);
