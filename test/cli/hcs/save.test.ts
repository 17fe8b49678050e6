import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { save } from '../../../src/cli/hcs/save.ts';
import type { HcsContext } from '../../../src/cli/hcs/service-host.ts';
import { ComputeFunctions } from '../../../src/compute/compute-functions.ts';
import { DeviceDirectory } from '../../../src/compute/device-directory.ts';
import { ServedService } from '../../../src/compute/served-service.ts';
import { ComputeSystem } from '../../../src/hcs/compute-system.ts';
import { RecordingEngine, vm } from '../../compute/recording-engine.ts';

let folder: string;
let engine: RecordingEngine;
let service: ServedService;
let context: HcsContext;
let said: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvt-'));
  engine = new RecordingEngine();
  service = new ServedService({ engines: [engine], directory: new DeviceDirectory() });
  const core = new ComputeFunctions(service);
  const connect = async () =>
    ({ name: 'simulated', core, outlivesCommand: true, close: async () => {} }) as const;
  context = { connect };
  said = '';
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      said += String(text);
      return true;
    });
  }
  const system = await ComputeSystem.create('web', vm(), { core });
  await system.start();
  await system.close();
  engine.log.length = 0;
});

afterEach(async () => {
  vi.restoreAllMocks();
  await service[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

test('the document takes the place of an older one once the state is whole', async () => {
  const file = join(folder, 'web.vmrs');
  writeFileSync(`${file}.json`, 'of the state before');
  engine.failNext('save', new Error('the disk is full'));
  await expect(save(context, 'web', file, {})).rejects.toThrow('the disk is full');
  expect(readFileSync(`${file}.json`, 'utf8')).toBe('of the state before');
  expect(engine.log).toEqual(['pause', `save ${file}`, 'resume']);
  await save(context, 'web', file, {});
  expect(JSON.parse(readFileSync(`${file}.json`, 'utf8'))).toMatchObject({ Owner: 'test' });
  expect(readdirSync(folder)).toEqual(['web.vmrs.json']);
});

test('a system whose document has no place is not touched', async () => {
  const file = join(folder, 'no-such-folder', 'web.vmrs');
  const refusal = save(context, 'web', file, {});
  await expect(refusal).rejects.toThrow(`Cannot write ${file}.json`);
  await expect(refusal).rejects.toMatchObject({ name: 'UsageError' });
  expect(engine.log).toEqual([]);
});

test('who could not be saved hears why, also where the system cannot run on', async () => {
  engine.failNext('save', new Error('the disk is full'));
  engine.failNext('resume', new Error('it hangs'));
  const refusal = save(context, 'web', join(folder, 'web.vmrs'), {});
  await expect(refusal).rejects.toThrow('the disk is full');
  expect(said).toMatch(/^hcs: web stays paused: .*it hangs/m);
  expect(readdirSync(folder)).toEqual([]);
});

test('the document is beside a state that is whole only after the command was interrupted', async () => {
  const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
  const goOn = engine.hold('save');
  const file = join(folder, 'web.vmrs');
  const saving = save(context, 'web', file, {});
  await expect.poll(() => engine.log).toContain(`save ${file}`);
  const interrupt = process.listeners('SIGTERM').at(-1)!;
  interrupt('SIGTERM');
  await saving;
  await expect.poll(() => exit.mock.calls).toEqual([[143]]);
  goOn();
  expect(readdirSync(folder)).toEqual(['web.vmrs.json']);
});
