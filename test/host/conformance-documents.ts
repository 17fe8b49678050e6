// Longer than most: one suite that every host runs, with a machine that all requests change in turn.
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ComputeSystem as Document } from '../../src/hcs/schema/documents.ts';
import { documentProblems } from '../../src/hcs/schema/validate.ts';
import { ComputeSystem, DeviceHost } from '../../src/index.ts';
import { errorOf } from '../compute/recording-engine.ts';
import type { TestHost } from './conformance.ts';
import { ASKED, ASKED_OF_SERVICE, type Known } from './documents/asked.ts';
import { DELETED_GROUP, OPTIONS, SETTINGS } from './documents/called.ts';
import { CREATED, WITH_DEVICE } from './documents/created.ts';
import { EMULATOR, type Fixtures, INSTANCE, type Outcome } from './documents/example.ts';
import { MODIFIED } from './documents/modified.ts';

/** A host on which the examples are tried. */
export interface DocumentsHost extends Omit<TestHost, 'guestOf'> {
  /** Makes what the examples name, besides files and folders. */
  prepareFixtures(fixtures: Fixtures): Promise<void>;
  /** The example of a machine whose guest can be talked to, for everything that changes a machine. */
  running(fixtures: Fixtures): Document;
  /** The example of a machine that is saved and restored. */
  saved(fixtures: Fixtures): Document;
  /** The example of a machine whose guest {@link powerOff} reaches. */
  short(fixtures: Fixtures): Document;
  /** Waits until the guest of {@link running} hears that it is asked to shut down. */
  listens(system: ComputeSystem): Promise<void>;
  /** What a command prints in a guest that is Linux. */
  see?(command: string): Promise<string>;
  /** Has the guest of {@link short} power its machine off. */
  powerOff(system: ComputeSystem, fixtures: Fixtures): Promise<void>;
  /** Has a running machine end as nobody wanted it. */
  fail(system: ComputeSystem): Promise<void>;
}

/** Longest that a guest takes to see what came or went, on a loaded machine. */
const PATIENCE = { timeout: 60_000, interval: 100 };
const DEVICE = new URL('./documents/port-device.ts', import.meta.url);
const BASIC = ['Id', 'Name', 'Owner', 'RuntimeId', 'State', 'SystemType'];
const MIB = 1024 * 1024;

/**
 * Every example of the documents that Microsoft and its clients have published runs, or is refused for the reason that its
 * row gives.
 */
export function describeDocuments(
  name: 'linux' | 'simulated',
  openHost: () => Promise<DocumentsHost>,
): void {
  describe(`documents on host ${name}`, () => {
    let host: DocumentsHost;
    let folder: string;
    let fixtures: Fixtures;
    const systems: ComputeSystem[] = [];

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'hdvd-'));
      // Machines have accounts of their own where root runs them.
      chmodSync(folder, 0o755);
      fixtures = { at: (file) => join(folder, file), section: `hdvkit-${randomUUID()}` };
      for (const file of ['initrd.img', 'data.img', 'seed.iso', 'root.vhdx', 'root.qcow2']) {
        writeFileSync(fixtures.at(file), Buffer.alloc(MIB, 'x'));
      }
      writeFileSync(fixtures.at('memory.img'), Buffer.alloc(4 * MIB));
      mkdirSync(fixtures.at('share'));
      host = await openHost();
      await host.prepareFixtures(fixtures);
    });

    afterEach(async () => {
      for (const system of systems.splice(0)) await system[Symbol.asyncDispose]();
    });

    afterAll(async () => {
      await host?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    /** A new system, which may open all that the examples name. */
    async function create(document: Document): Promise<ComputeSystem> {
      const id = `hdvkit-${randomUUID()}`;
      await host.prepare?.(id, document as Record<string, unknown>);
      await host.prepare?.(id, { VirtualMachine: filesToAdd(fixtures) });
      const core = host.binding.computeCore;
      return await ComputeSystem.create(id, document, { core });
    }

    /** The same, until the test ends. */
    async function createForTest(document: Document): Promise<ComputeSystem> {
      const system = await create(document);
      systems.push(system);
      return system;
    }

    describe('that a system is created from', () => {
      test.each(CREATED)('$name', async ({ [name]: outcome, document }) => {
        const example = document(fixtures);
        expect(documentProblems('ComputeSystem', example)).toEqual([]);
        await expectOutcome(outcome, async () => {
          const system = await createForTest(example);
          await system.start();
          expect((await system.properties()).State).toBe('Running');
        });
      });

      test('2.3 goes on from the state that it was saved with', async () => {
        const document = host.saved(fixtures);
        const system = await createForTest(document);
        await system.start();
        await system.pause();
        const SaveStateFilePath = fixtures.at('kept.vmrs');
        await system.save({ SaveType: 'ToFile', SaveStateFilePath });
        await system.terminate();
        const VirtualMachine = {
          ...document.VirtualMachine,
          RestoreState: { SaveStateFilePath },
        };
        const again = await createForTest({ ...document, VirtualMachine });
        await again.start();
        expect((await again.properties()).State).toBe('Running');
      });

      test('2.4 FlexibleIov device, and 10 the ResultError without a device host', async () => {
        const system = await createForTest(WITH_DEVICE);
        const { document } = await errorOf(() => system.start());
        const { ErrorMessage, ...error } = JSON.parse(document ?? '{}');
        expect(documentProblems('ResultError', error)).toEqual([]);
        expect(error).toEqual({
          Error: -2147418113,
          Attribution: [
            {
              VirtualDeviceFailure: {
                Detail: 'FinishReservingResources',
                Name: 'FlexIo',
                DeviceId: 'a8679153-843f-467f-ad7e-f429328f7568',
                InstanceId: INSTANCE,
              },
            },
          ],
        });
        expect(ErrorMessage).toContain('DeviceHost.attach');
        await using devices = await DeviceHost.create(system, { binding: host.binding.hdv });
        await devices.attach(DEVICE, { instanceId: INSTANCE, classId: EMULATOR, declared: true });
        await system.start();
        expect((await system.properties()).State).toBe('Running');
        await system.terminate();
      });
    });

    describe('that ask and change the service', () => {
      test.each(ASKED_OF_SERVICE)('$name', async ({ [name]: outcome, query }) => {
        if (query !== null) expect(documentProblems('Service_PropertyQuery', query)).toEqual([]);
        await expectOutcome(outcome, async () => {
          const text = query === null ? null : JSON.stringify(query);
          const answer = JSON.parse(await host.binding.computeCore.HcsGetServiceProperties(text));
          expect(documentProblems('ServiceProperties', answer)).toEqual([]);
          const { Properties = [], PropertyResponses = {} } = answer;
          const asked = query?.PropertyTypes ?? (query === null ? ['Basic'] : []);
          expect(Properties).toHaveLength(asked.length);
          expect(Object.keys(PropertyResponses)).toEqual(Object.keys(query?.PropertyQueries ?? {}));
          for (const response of Object.values(PropertyResponses)) {
            expect(response).toHaveProperty('Response');
          }
        });
      });
    });

    describe('that ask and change a running machine', () => {
      let system: ComputeSystem;
      let devices: DeviceHost;
      const on = () => ({ binding: host.binding, system: system.handle, fixtures });

      beforeAll(async () => {
        const document = host.running(fixtures);
        expect(documentProblems('ComputeSystem', document)).toEqual([]);
        system = await create(document);
        devices = await DeviceHost.create(system, { binding: host.binding.hdv });
        await devices.attach(DEVICE, { instanceId: INSTANCE, classId: EMULATOR, declared: true });
        await system.start();
        await host.listens(system);
      });

      afterAll(async () => {
        await devices?.[Symbol.asyncDispose]();
        await system?.[Symbol.asyncDispose]();
      });

      test.each(SETTINGS)('$name', async ({ [name]: outcome, type, document, call }) => {
        const example = document(fixtures);
        expect(documentProblems(type, example)).toEqual([]);
        await expectOutcome(outcome, () => call(on(), JSON.stringify(example)));
      });

      test.each(ASKED)('$name', async ({ query, [name]: known }) => {
        if (query !== null) expect(documentProblems('System_PropertyQuery', query)).toEqual([]);
        const answer = await system.properties(query ?? undefined);
        const { ProcessorTopology, ICHeartbeatStatus, ...published } = answer as Extended;
        expect(documentProblems('Properties', published)).toEqual([]);
        expectKnown(answer, known);
      });

      test('6 enumeration', async () => {
        const query = { Types: ['VirtualMachine' as const], Owners: ['demo'] };
        expect(documentProblems('SystemQuery', query)).toEqual([]);
        const { computeCore: core } = host.binding;
        const found = await ComputeSystem.enumerate(query, { core });
        expect(found.map(({ Id }) => Id)).toEqual([system.id]);
        const none = await ComputeSystem.enumerate({ Owners: ['nobody'] }, { core });
        expect(none).toEqual([]);
      });

      test.each(MODIFIED)('$name', async ({ [name]: outcome, request, seen }) => {
        const example = request(fixtures);
        expect(documentProblems('ModifySettingRequest', example)).toEqual([]);
        await expectOutcome(outcome, () => system.modify(example));
        if (outcome !== 'runs' || seen === undefined || host.see === undefined) return;
        const [command, prints] = seen;
        await expect.poll(async () => await host.see?.(command), PATIENCE).toMatch(prints);
      });

      test(DELETED_GROUP.name, () =>
        DELETED_GROUP.call(on(), JSON.stringify(DELETED_GROUP.document(fixtures))),
      );

      test('8 shut down, and 10 the exit status of a guest that was asked', async () => {
        const options = { Mechanism: 'IntegrationService', Type: 'Shutdown' } as const;
        expect(documentProblems('ShutdownOptions', options)).toEqual([]);
        const { exited } = system;
        await system.shutDown({ options });
        expect(await exited).toEqual({
          Status: 0,
          ExitType: 'GracefulExit',
          Attribution: [{ SystemExit: { Detail: 'Shutdown', Initiator: 'Client' } }],
        });
      });
    });

    describe('that are options of calls', () => {
      let system: ComputeSystem;

      beforeAll(async () => {
        const { VirtualMachine } = CREATED[0]!.document(fixtures);
        system = await create({
          VirtualMachine: { ...VirtualMachine, Services: { Shutdown: {} } },
        });
        await system.start();
      });

      afterAll(() => system?.[Symbol.asyncDispose]());

      test.each(OPTIONS)('$name', async ({ [name]: outcome, type, document, call }) => {
        const example = document(fixtures);
        expect(documentProblems(type, example)).toEqual([]);
        const on = { binding: host.binding, system: system.handle, fixtures };
        await expectOutcome(outcome, () => call(on, JSON.stringify(example)));
      });
    });

    describe('that tell of an end', () => {
      test('10 of the guest, by itself', async () => {
        const system = await createForTest(host.short(fixtures));
        await system.start();
        const { exited } = system;
        await host.powerOff(system, fixtures);
        expect(await exited).toEqual({
          Status: 0,
          ExitType: 'GracefulExit',
          Attribution: [{ SystemExit: { Detail: 'Shutdown', Initiator: 'GuestOS' } }],
        });
      });

      test('10 that nobody expected', async () => {
        const system = await createForTest(CREATED[0]!.document(fixtures));
        await system.start();
        const { exited } = system;
        await host.fail(system);
        // What a guest did to its processor is not known: no host tells of a TripleFault.
        const { Detail, ...status } = (await exited) as { readonly Detail?: string };
        expect(Detail).toEqual(expect.any(String));
        expect(documentProblems('SystemExitStatus', status)).toEqual([]);
        expect(status).toMatchObject({
          Status: -2143878906,
          ExitType: 'UnexpectedExit',
          Attribution: [expect.not.objectContaining({ TripleFault: expect.anything() })],
        });
      });
    });
  });
}

/** Files that requests add to a running machine, as a document names them. */
function filesToAdd({ at, section }: Fixtures): Document['VirtualMachine'] {
  return {
    Devices: {
      Scsi: { disks: { Attachments: { '2': { Path: at('data.img') } } } },
      VirtualPMem: { Devices: { '2': { HostPath: at('memory.img') } } },
      Plan9: { Shares: [{ Path: at('share') }] },
      SharedMemory: { Regions: [{ SectionName: section }] },
    },
  };
}

async function expectOutcome(outcome: Outcome, call: () => Promise<unknown>): Promise<void> {
  if (outcome === 'runs') {
    await call();
    return;
  }
  const error = await errorOf(call);
  expect([error.code, error.path]).toEqual([outcome.code, outcome.path]);
  expect(error.reason).toContain(outcome.reason);
}

function expectKnown(answer: object, { fields = [], responses }: Known): void {
  const { PropertyResponses, ...properties } = answer as Record<string, unknown>;
  expect(Object.keys(properties).sort()).toEqual([...BASIC, ...fields].sort());
  const told = Object.entries((PropertyResponses ?? {}) as Record<string, Response>).map(
    ([key, { Response, Error: error }]) => [
      key,
      Response === undefined ? error?.ErrorMessage : 'answered',
    ],
  );
  expect(told.map(([key]) => key)).toEqual(Object.keys(responses ?? {}));
  for (const [key, text] of told) expect(text).toContain(responses?.[key as string]);
}

/** Properties that clients ask for and the published schema has not. */
interface Extended {
  readonly ProcessorTopology?: unknown;
  readonly ICHeartbeatStatus?: unknown;
}

interface Response {
  readonly Response?: unknown;
  readonly Error?: { readonly ErrorMessage?: string };
}
