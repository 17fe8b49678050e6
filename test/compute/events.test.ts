import { expect, test } from 'vitest';
import { GENERIC_ALL, HCS_EVENT_TYPE } from '../../src/hcs/core/constants.ts';
import type { HCS_EVENT, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf, INSTANCE, Rig, turn, vm } from './recording-engine.ts';

function listen(rig: Rig, system: HCS_SYSTEM): HCS_EVENT[] {
  const events: HCS_EVENT[] = [];
  rig.core.HcsSetComputeSystemCallback(system, 0, null, (event) => events.push(event));
  return events;
}

test('delivers the exit to every handle, with how the system ended', async () => {
  const rig = new Rig();
  const system = await rig.create();
  const other = await rig.core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  const [first, second] = [listen(rig, system), listen(rig, other)];
  await rig.start(system);
  await rig.terminate(other);
  await turn();
  expect(first).toEqual(second);
  expect(first.map(({ Type, Operation }) => [Type, Operation])).toEqual([
    [HCS_EVENT_TYPE.HcsEventSystemExited, 0n],
  ]);
  expect(JSON.parse(first[0]?.EventData ?? '')).toEqual({
    Status: 0,
    ExitType: 'ForcedExit',
    Attribution: [{ SystemExit: { Detail: 'Terminate', Initiator: 'Client' } }],
  });
});

test('says who ended the system', async () => {
  const statuses: unknown[] = [];
  for (const end of ['guest', 'client', 'crash'] as const) {
    const rig = new Rig();
    const system = await rig.create();
    await rig.start(system);
    if (end === 'client') {
      await rig.run((o) => rig.core.HcsShutDownComputeSystem(system, o, null));
    }
    rig.engine.machine.exit(
      end === 'crash'
        ? { exitType: 'UnexpectedExit', status: 0x8037_0106, detail: 'exit code 1' }
        : { exitType: 'GracefulExit', status: 0 },
    );
    statuses.push(JSON.parse((await rig.core.HcsWaitForComputeSystemExit(system, 5000)) ?? ''));
  }
  expect(statuses).toEqual([
    {
      Status: 0,
      ExitType: 'GracefulExit',
      Attribution: [{ SystemExit: { Detail: 'Shutdown', Initiator: 'GuestOS' } }],
    },
    {
      Status: 0,
      ExitType: 'GracefulExit',
      Attribution: [{ SystemExit: { Detail: 'Shutdown', Initiator: 'Client' } }],
    },
    {
      Status: -2143878906,
      ExitType: 'UnexpectedExit',
      Attribution: [{ SystemExit: { Detail: 'UnexpectedExit', Initiator: 'Internal' } }],
      Detail: 'exit code 1',
    },
  ]);
});

test('delivers a crash twice, as begun and as reported, before the exit', async () => {
  const rig = new Rig();
  const system = await rig.create();
  const events = listen(rig, system);
  await rig.start(system);
  const { machine } = rig.engine;
  machine.request.notify({ type: 'guestConnectionClosed', document: '{}' });
  machine.request.notify({ type: 'crashed', document: '{"CrashLog":"panic"}' });
  machine.exit({ exitType: 'UnexpectedExit', status: 0x8037_0106 });
  machine.exit({ exitType: 'GracefulExit', status: 0 });
  machine.request.notify({ type: 'crashed', document: '{}' });
  await turn();
  expect(events.map(({ Type }) => Type)).toEqual([
    HCS_EVENT_TYPE.HcsEventSystemGuestConnectionClosed,
    HCS_EVENT_TYPE.HcsEventSystemCrashInitiated,
    HCS_EVENT_TYPE.HcsEventSystemCrashReport,
    HCS_EVENT_TYPE.HcsEventSystemExited,
  ]);
  expect(JSON.parse(events[2]?.EventData ?? '')).toEqual({ SystemId: 'vm', CrashLog: 'panic' });
});

test('says that a crash has begun before it is reported, once', async () => {
  const rig = new Rig();
  const system = await rig.create();
  const events = listen(rig, system);
  await rig.start(system);
  const { request } = rig.engine.machine;
  request.notify({ type: 'crashBegun', document: '{}' });
  await turn();
  expect(events.map(({ Type }) => Type)).toEqual([HCS_EVENT_TYPE.HcsEventSystemCrashInitiated]);
  request.notify({ type: 'crashed', document: '{"CrashLog":"panic"}' });
  await turn();
  expect(events.map(({ Type }) => Type)).toEqual([
    HCS_EVENT_TYPE.HcsEventSystemCrashInitiated,
    HCS_EVENT_TYPE.HcsEventSystemCrashReport,
  ]);
});

test('delivers nothing once a handle is closed, even what was on its way', async () => {
  const rig = new Rig();
  const system = await rig.create();
  const events = listen(rig, system);
  await rig.start(system);
  rig.engine.machine.request.notify({ type: 'guestConnectionClosed', document: '{}' });
  await rig.core.HcsCloseComputeSystem(system);
  await turn();
  expect(events).toEqual([]);
});

test('has one callback per handle, which can be taken off and set again', async () => {
  const rig = new Rig();
  const { core } = rig;
  const system = await rig.create();
  const first = listen(rig, system);
  expect(await codeOf(() => core.HcsSetComputeSystemCallback(system, 0, null, () => {}))).toBe(
    'HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET',
  );
  core.HcsSetComputeSystemCallback(system, 0, null, null);
  const second = listen(rig, system);
  await rig.terminate(system);
  await turn();
  expect([first.length, second.length]).toEqual([0, 1]);
  expect(
    await codeOf(() => core.HcsSetComputeSystemCallback(system, 0, null, 'callback' as never)),
  ).toBe('E_INVALIDARG');
});

test('gives the callback its context, and misses nothing when it is set at creation', async () => {
  const rig = new Rig();
  const seen: unknown[] = [];
  let system: HCS_SYSTEM | undefined;
  await rig.run((operation) => {
    system = rig.core.HcsCreateComputeSystemInNamespace(
      'space',
      'vm',
      JSON.stringify(vm()),
      operation,
      {
        Version: 0x0001_0000,
        CallbackContext: 'context',
        Callback: (event, context) => seen.push([event.Type, context]),
      },
    );
  });
  await rig.terminate(system as HCS_SYSTEM);
  await turn();
  expect(seen).toEqual([[HCS_EVENT_TYPE.HcsEventSystemExited, 'context']]);
});

test('refuses a callback at creation that is no function, and creates nothing', async () => {
  const rig = new Rig();
  const create = () =>
    rig.run((operation) => {
      const options = { Version: 0x0001_0000, Callback: 'callback' as never } as const;
      rig.core.HcsCreateComputeSystemInNamespace('space', 'vm', '{}', operation, options);
    });
  expect(await codeOf(create)).toBe('E_INVALIDARG');
  expect(rig.engine.log).toEqual([]);
});

test('waits for the exit, before it and after it, until the time is over or the handle is closed', async () => {
  const rig = new Rig();
  const { core } = rig;
  const system = await rig.create();
  const other = await core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  for (const timeout of [0, 1]) {
    expect(await codeOf(() => core.HcsWaitForComputeSystemExit(system, timeout))).toBe(
      'HCS_E_OPERATION_TIMEOUT',
    );
  }
  const before = core.HcsWaitForComputeSystemExit(system, 0xffff_ffff);
  const closed = codeOf(() => core.HcsWaitForComputeSystemExit(other, 0xffff_ffff));
  await core.HcsCloseComputeSystem(other);
  expect(await closed).toBe('ERROR_INVALID_HANDLE');
  await rig.terminate(system);
  expect(await before).toBe(await core.HcsWaitForComputeSystemExit(system, 0));
});

test('comes after the devices are off', async () => {
  const rig = new Rig();
  const endpoint = rig.announce(INSTANCE);
  const system = await rig.create('vm', vm(INSTANCE));
  await rig.start(system);
  let atExit: readonly string[] = [];
  rig.core.HcsSetComputeSystemCallback(system, 0, null, () => {
    atExit = [...endpoint.log];
  });
  rig.engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  await rig.core.HcsWaitForComputeSystemExit(system, 5000);
  await turn();
  expect(atExit).toEqual(['on ', 'off']);
});

test('puts the exit after a crash down to the guest, also where the engine has only words for it', async () => {
  const rig = new Rig();
  const system = await rig.create();
  const events = listen(rig, system);
  await rig.start(system);
  rig.engine.machine.request.notify({ type: 'crashed', document: 'stack overflow' });
  rig.engine.machine.exit({ exitType: 'UnexpectedExit', status: 0x8037_011c });
  await turn();
  const [initiated, , exited] = events.map(({ EventData }) => JSON.parse(EventData ?? ''));
  expect(initiated).toEqual({ SystemId: 'vm', CrashLog: 'stack overflow' });
  expect(exited.Attribution).toEqual([{ GuestCrash: {} }]);
});
