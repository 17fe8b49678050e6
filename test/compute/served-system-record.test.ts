import { expect, test } from 'vitest';
import { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import { ServedService } from '../../src/compute/served-service.ts';
import { deviceRequest, INSTANCE, Rig, vm } from './recording-engine.ts';

test('a system has one record for JSON, with all that another service needs of it', async () => {
  const behind = new Rig();
  const service = new ServedService({ engines: [behind.engine], directory: behind.directory });
  const core = { value: new ComputeFunctions(service) };
  const rig = Object.create(behind, { core }) as Rig;
  const release = rig.engine.hold('create');
  const creating = rig.create();
  expect(service.records).toMatchObject([{ id: 'vm', idNamespace: '', state: 'Creating' }]);
  release();
  const system = await creating;
  rig.announce(INSTANCE);
  await rig.modify(system, deviceRequest('Add', INSTANCE));
  expect(service.records[0]?.entries).toMatchObject([{ instanceId: INSTANCE }]);
  await rig.start(system);
  const [record] = service.records;
  expect(JSON.parse(JSON.stringify(record))).toEqual(record);
  expect(record).toMatchObject({
    createdDocument: JSON.stringify(vm()),
    engine: 'recording',
    state: 'Running',
    entries: [],
    devices: [{ instanceId: INSTANCE, configuration: ['port=1'] }],
  });
  await rig.terminate(system);
  expect(service.records).toEqual([]);
});
