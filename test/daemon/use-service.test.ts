import { afterEach, expect, test } from 'vitest';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { selectedHostName, useHost, useService } from '../../src/hosts/index.ts';
import { vm } from '../compute/recording-engine.ts';
import { InProcessDaemon } from './in-process.ts';

const under = new InProcessDaemon();

afterEach(() => under.close());

test('ComputeSystem works over a service as over a host', async () => {
  await under.connect();
  const binding = await useService({ socket: under.path });
  expect(selectedHostName()).toBe('simulated');
  await using system = await ComputeSystem.create('vm', vm());
  await system.start();
  expect(await system.properties()).toMatchObject({ State: 'Running' });
  await using again = await ComputeSystem.open('vm');
  await again.pause();
  expect(under.engine.log).toEqual(['create', 'start', 'pause']);
  await system.terminate();
  await binding.close();
  useHost('simulated');
});
