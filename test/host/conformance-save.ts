import { randomUUID } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GENERIC_ALL, HCS_EVENT_OPTIONS, HCS_EVENT_TYPE } from '../../src/hcs/core/constants.ts';
import type { RestoreState, VirtualMachine } from '../../src/hcs/schema/documents.ts';
import { ComputeSystem } from '../../src/index.ts';
import { errorOf } from '../compute/recording-engine.ts';
import type { TestHost } from './conformance.ts';

/** What a guest keeps in its memory. */
export interface GuestNote {
  read(): Promise<string>;
  write(text: string): Promise<void>;
}

/** A host whose machines can be saved. */
export interface SaveTestHost extends TestHost {
  /** Reaches the guest of a running system; waits until it answers. */
  noteOf(system: ComputeSystem): Promise<GuestNote>;
  /** Events that have no counterpart on this host either. */
  readonly neverTells?: readonly number[];
}

/** Events that have no counterpart where there is no Hyper-V. */
const NEVER: readonly number[] = [
  HCS_EVENT_TYPE.HcsEventSystemRdpEnhancedModeStateChanged,
  HCS_EVENT_TYPE.HcsEventSystemSiloJobCreated,
  HCS_EVENT_TYPE.HcsEventGroupLiveMigration,
];

/** Save, restore and clone, as every host of our own service has them. */
export function describeSave(name: string, openHost: () => Promise<SaveTestHost>): void {
  describe(`saved machines of host ${name}`, () => {
    let host: SaveTestHost;
    let folder: string;
    const systems = new Set<ComputeSystem>();

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'hdvs-'));
      host = await openHost();
    });

    afterAll(async () => {
      for (const system of systems) await system[Symbol.asyncDispose]();
      await host?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    async function create(restore?: RestoreState, fields: VirtualMachine = {}) {
      const document = host.document();
      const machine = { ...(document.VirtualMachine as VirtualMachine), ...fields };
      const VirtualMachine =
        restore === undefined ? machine : { ...machine, RestoreState: restore };
      const id = `hdvkit-${randomUUID()}`;
      const core = host.binding.computeCore;
      const made = { ...document, VirtualMachine };
      await host.prepare?.(id, made);
      const system = await ComputeSystem.create(id, made, { core });
      systems.add(system);
      return system;
    }

    const start = async (restore?: RestoreState): Promise<[ComputeSystem, GuestNote]> => {
      const system = await create(restore);
      await system.start();
      return [system, await host.noteOf(system)];
    };

    /** Registers for everything that a handle can be told. @returns the types of what came */
    async function listen({ id }: ComputeSystem): Promise<number[]> {
      const { computeCore: core } = host.binding;
      const types: number[] = [];
      const handle = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
      const options =
        HCS_EVENT_OPTIONS.HcsEventOptionEnableVmLifecycle |
        HCS_EVENT_OPTIONS.HcsEventOptionEnableLiveMigrationEvents;
      core.HcsSetComputeSystemCallback(handle, options, null, ({ Type }) => types.push(Type));
      return types;
    }

    const told: number[][] = [];

    test('a machine goes on from the file that it was saved to', async () => {
      const path = join(folder, 'saved');
      const [system, note] = await start();
      told.push(await listen(system));
      await note.write('kept');
      await system.pause();
      await system.save({ SaveType: 'ToFile', SaveStateFilePath: path });
      expect(readdirSync(folder)).toEqual(['saved']);
      if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o600);
      await system.resume();
      expect(await note.read()).toBe('kept');
      await note.write('changed');
      await system.terminate();

      const [again, restored] = await start({ SaveStateFilePath: path });
      told.push(await listen(again));
      expect(await restored.read()).toBe('kept');
      await again.terminate();
    });

    test('events that have no counterpart here can be asked for, and none comes', async () => {
      expect(told).toHaveLength(2);
      for (const types of told) {
        expect(types).toContain(HCS_EVENT_TYPE.HcsEventSystemExited);
        const never = [...NEVER, ...(host.neverTells ?? [])];
        expect(types.filter((type) => never.includes(type))).toEqual([]);
      }
    });

    test('two clones go on from one template, each with memory of its own, also when it has ended', async () => {
      const [template, note] = await start();
      await note.write('template');
      await template.pause();
      await template.save({ SaveType: 'AsTemplate' });
      expect((await template.properties()).State).toBe('SavedAsTemplate');
      const restore = { TemplateSystemId: template.id };
      const [first, one] = await start(restore);
      await one.write('first');
      const [second, two] = await start(restore);
      expect(await two.read()).toBe('template');
      await template.terminate();
      expect(await one.read()).toBe('first');
      const error = await errorOf(() => create(restore));
      expect(error.code).toBe('HCS_E_SYSTEM_NOT_FOUND');
      await first.terminate();
      await second.terminate();
    });

    describe('a machine that is saved', () => {
      let system: ComputeSystem;
      let path: string;

      beforeAll(async () => {
        path = join(folder, 'other');
        [system] = await start();
        await system.pause();
        await system.save({ SaveStateFilePath: path });
      });

      test.each([
        ['nowhere', 'ERROR_PATH_NOT_FOUND', join(tmpdir(), 'no-such-folder', 'saved')],
        ['relative', 'E_INVALIDARG', 'saved'],
        ['a folder', 'ERROR_FILE_EXISTS', tmpdir()],
      ])('goes nowhere but to a file: %s', async (_what, code, SaveStateFilePath) => {
        const error = await errorOf(() => system.save({ SaveStateFilePath }));
        expect([error.function, error.code]).toEqual(['HcsSaveComputeSystem', code]);
        expect(error.reason).toContain(SaveStateFilePath);
      });

      test('can be saved again while it is paused, though the first file is gone', async () => {
        const [first, second] = [join(folder, 'first'), join(folder, 'second')];
        await system.save({ SaveStateFilePath: first });
        const bytes = readFileSync(first);
        const { blocks } = statSync(path);
        rmSync(first);
        await system.save({ SaveStateFilePath: second });
        expect(readFileSync(second).equals(bytes)).toBe(true);
        // Zeros take no room, in the second file either.
        expect(statSync(second).blocks).toBeLessThanOrEqual(blocks * 1.25);
      });

      test('asks nothing of a processor that is made up', async () => {
        const { computeCore: core } = host.binding;
        const text = await core.HcsGetProcessorCompatibilityFromSavedState(path);
        expect(JSON.parse(text)).toEqual({ ProcessorFeatures: [], XsaveProcessorFeatures: [] });
        const damaged = join(folder, 'cut');
        copyFileSync(path, damaged);
        truncateSync(damaged, statSync(path).size - 1);
        const error = await errorOf(() => core.HcsGetProcessorCompatibilityFromSavedState(damaged));
        expect(error.code).toBe('ERROR_INVALID_DATA');
      });

      test('is not restored from a file that is damaged', async () => {
        const damaged = join(folder, 'damaged');
        const size = statSync(path).size;
        copyFileSync(path, damaged);
        // Each on top of those before: copies of a machine are dear.
        for (const [change, text] of [
          [() => flipByte(damaged, size - 1), 'is damaged: its checksum does not match'],
          [() => truncateSync(damaged, size - 1), 'is damaged: its checksum does not match'],
          [() => flipByte(damaged, 40), 'is damaged: the checksum of its head does not match'],
          [() => truncateSync(damaged, 100), 'has no machine that was saved by this host'],
          [() => truncateSync(damaged, 0), 'has no machine'],
          [() => writeFileSync(damaged, 'x'.repeat(100_000)), 'has no machine'],
        ] as const) {
          change();
          const error = await errorOf(() => create({ SaveStateFilePath: damaged }));
          expect([error.code, error.function]).toEqual([
            'ERROR_VID_SAVED_STATE_CORRUPT',
            'HcsCreateComputeSystem',
          ]);
          expect(error.reason).toContain(text);
        }
      });

      test('is not restored from a file that nothing was saved in, or that is not there', async () => {
        const empty = join(folder, 'empty');
        await host.binding.computeCore.HcsCreateEmptyRuntimeStateFile(empty);
        const error = await errorOf(() => create({ SaveStateFilePath: empty }));
        expect(error.code).toBe('ERROR_VID_SAVED_STATE_CORRUPT');
        expect(error.reason).toContain('no machine was saved in it yet');
        const none = await errorOf(() => create({ SaveStateFilePath: join(folder, 'none') }));
        expect(none.code).toBe('ERROR_FILE_NOT_FOUND');
      });

      test('is not restored into a machine of another make', async () => {
        const fields = { ComputeTopology: { Memory: { SizeInMB: 128 } } };
        const error = await errorOf(() => create({ SaveStateFilePath: path }, fields));
        expect(error.code).toBe('ERROR_VID_SAVED_STATE_INCOMPATIBLE');
        expect(error.reason).toMatch(/its memory\w* was \d+.*, and the document says 128/);
      });

      test('is not restored from two places at once', async () => {
        const both = { SaveStateFilePath: path, TemplateSystemId: system.id };
        // A template is looked for first.
        const error = await errorOf(() => create(both));
        expect(error.code).toMatch(/^(E_INVALIDARG|HCS_E_INVALID_STATE)$/);
      });
    });
  });
}

function flipByte(path: string, offset: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, offset);
  writeSync(file, Buffer.of(byte.readUInt8() ^ 1), 0, 1, offset);
  closeSync(file);
}
