import { expect, test } from 'vitest';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf, errorOf, Rig, vm } from './recording-engine.ts';

async function paused(rig: Rig, id = 'vm'): Promise<HCS_SYSTEM> {
  const system = await rig.create(id);
  await rig.start(system);
  await rig.run((operation) => rig.core.HcsPauseComputeSystem(system, operation, null));
  return system;
}

function save(rig: Rig, system: HCS_SYSTEM, options: unknown): Promise<string | null> {
  return rig.run((operation) =>
    rig.core.HcsSaveComputeSystem(system, operation, JSON.stringify(options)),
  );
}

const cloneOf = (TemplateSystemId: string) => {
  const document = vm();
  return {
    ...document,
    VirtualMachine: { ...document.VirtualMachine, RestoreState: { TemplateSystemId } },
  };
};

test('a system that was saved to a file is paused as before, and goes on', async () => {
  const rig = new Rig();
  const system = await paused(rig);
  await save(rig, system, { SaveType: 'ToFile', SaveStateFilePath: '/saved' });
  expect((await rig.properties(system)).State).toBe('Paused');
  await rig.run((operation) => rig.core.HcsResumeComputeSystem(system, operation, null));
  expect(rig.engine.log).toEqual(['create', 'start', 'pause', 'save /saved', 'resume']);
});

test('a save that fails leaves the system paused', async () => {
  const rig = new Rig();
  const system = await paused(rig);
  rig.engine.failNext('save', new Error('No space left on device'));
  const error = await errorOf(() => save(rig, system, { SaveType: 'AsTemplate' }));
  expect(error.code).toBe('E_FAIL');
  expect(error.reason).toContain('No space left on device');
  expect((await rig.properties(system)).State).toBe('Paused');
});

test.each([
  [{}, '$.SaveStateFilePath is missing'],
  [{ SaveStateFilePath: '' }, '$.SaveStateFilePath is missing'],
  [{ SaveType: 'AsTemplate', SaveStateFilePath: '/saved' }, 'leave it out'],
  [{ SaveType: 'ToDisk' }, '$.SaveType'],
])('refuses the options %j', async (options, text) => {
  const rig = new Rig();
  const error = await errorOf(async () => save(rig, await paused(rig), options));
  expect(error.code).toBe('HCS_E_INVALID_JSON');
  expect(error.reason).toContain(text);
});

test('a clone is created from a template that is there', async () => {
  const rig = new Rig();
  const template = await paused(rig, 'template');
  const isEarly = await errorOf(() => rig.create('clone', cloneOf('template')));
  expect(isEarly.code).toBe('HCS_E_INVALID_STATE');
  expect(isEarly.reason).toContain('save it with SaveType AsTemplate');
  await save(rig, template, { SaveType: 'AsTemplate' });
  await rig.create('clone', cloneOf('template'));
  expect(rig.engine.machine.request.template).toBe('template');
  await rig.terminate(template);
  expect(await codeOf(() => rig.create('late', cloneOf('template')))).toBe(
    'HCS_E_SYSTEM_NOT_FOUND',
  );
});
