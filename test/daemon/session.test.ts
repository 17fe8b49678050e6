import { afterEach, describe, expect, test } from 'vitest';
import type { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import { DEEPEST_MESSAGE, LONGEST_MESSAGE } from '../../src/daemon/protocol.ts';
import { GENERIC_ALL, HCS_EVENT_TYPE, INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf, vm } from '../compute/recording-engine.ts';
import { InProcessDaemon } from './in-process.ts';
import { RawClient } from './raw-client.ts';

let under: InProcessDaemon;

function open(...options: ConstructorParameters<typeof InProcessDaemon>): InProcessDaemon {
  under = new InProcessDaemon(...options);
  return under;
}

afterEach(() => under.close());

async function run(
  core: ComputeFunctions,
  start: (operation: HCS_OPERATION) => void,
): Promise<string | null> {
  const operation = core.HcsCreateOperation(null, null);
  try {
    start(operation);
    return await core.HcsWaitForOperationResult(operation, INFINITE);
  } finally {
    core.HcsCloseOperation(operation);
  }
}

async function create(core: ComputeFunctions, id = 'vm', fields = {}): Promise<HCS_SYSTEM> {
  let system = 0n as HCS_SYSTEM;
  const document = JSON.stringify({ ...vm(), ...fields });
  await run(core, (operation) => {
    system = core.HcsCreateComputeSystem(id, document, operation, null);
  });
  return system;
}

/** A look at the service, which other clients must not hold up. */
const look = (core: ComputeFunctions) => run(core, (o) => core.HcsEnumerateComputeSystems(null, o));

describe('hello', () => {
  test('is answered with the newest protocol that both speak', async () => {
    const client = await RawClient.connect(open());
    expect((await client.hello(99)).result).toMatchObject({ protocol: 1, host: 'simulated' });
  });

  test('of a client that is too old or too new is refused with both versions and what to do', async () => {
    open();
    for (const [newest, oldest, remedy] of [[99, 98, 'start the newer one']] as const) {
      const client = await RawClient.connect(under);
      const { error } = await client.hello(newest, oldest);
      expect(error).toMatchObject({
        code: 0x8037010c | 0,
        data: { reason: expect.stringContaining(remedy) },
      });
      expect(JSON.stringify(error)).toMatch(/protocol 98 to 99, the service \(hdvkit .*\) 1 to 1/);
    }
  });

  test('comes first: anything else before is refused', async () => {
    const client = await RawClient.connect(open());
    const { error } = await client.ask(7, 'enumerate', {});
    expect(JSON.stringify(error)).toContain('say hello before enumerate');
  });

  test('is waited for no longer than the limit', async () => {
    const client = await RawClient.connect(open({ helloLimitMs: 20 }));
    await client.closed();
    expect(under.log.join('\n')).toContain('did not say hello within 20 ms');
  });
});

describe('a client that does not keep to the protocol loses its connection, and others notice nothing', () => {
  const deep = `${'['.repeat(DEEPEST_MESSAGE + 1)}${']'.repeat(DEEPEST_MESSAGE + 1)}`;
  const framed = (body: string): string => `Content-Length: ${body.length}\r\n\r\n${body}`;
  test.each([
    ['no header', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'without Content-Length'],
    ['a header without end', 'x'.repeat(1000), 'more than 256 bytes'],
    ['a message that is too long', `Content-Length: ${LONGEST_MESSAGE + 1}\r\n\r\n`, 'more than'],
    ['no JSON', framed('{"a":'), 'no JSON'],
    ['no object', framed('[1,2]'), 'no object'],
    ['nesting that is too deep', framed(`{"params":${deep}}`), 'nested deeper'],
    [
      'a cancellation of nothing',
      framed('{"jsonrpc":"2.0","method":"$/cancelRequest"}'),
      'TypeError',
    ],
  ])('%s', async (_what, text, reason) => {
    const core = open().core();
    const client = await RawClient.connect(under);
    await client.hello();
    client.socket.write(text);
    await client.closed();
    expect(under.log.join('\n')).toContain(reason);
    expect(await look(core)).toBe('[]');
  });

  test('half a message harms only who sent it', async () => {
    const core = open().core();
    const client = await RawClient.connect(under);
    client.socket.write('Content-Length: 100\r\n\r\n{"jsonrpc"');
    expect(await look(core)).toBe('[]');
    expect(under.daemon.sessionCount).toBe(2);
    client.socket.destroy();
  });

  test('one that does not read is put out when too much waits for it', async () => {
    const core = open({ waitingLimit: 64 * 1024 }).core();
    const system = await create(core, 'vm'.padEnd(200, 'x'));
    const client = await RawClient.connect(under);
    await client.hello();
    await client.ask(2, 'open', {
      handle: 1,
      function: 'HcsOpenComputeSystem',
      idNamespace: '',
      id: 'vm'.padEnd(200, 'x'),
    });
    client.socket.pause();
    const report = JSON.stringify({ CrashLog: 'x'.repeat(60_000) });
    const isPutOut = (): boolean => under.log.some((line) => line.includes('does not read'));
    while (!isPutOut()) {
      under.engine.machine.request.notify({ type: 'crashed', document: report });
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(under.daemon.sessionCount).toBe(1);
    expect(await look(core)).toContain('"State":"Created"');
    await core.HcsCloseComputeSystem(system);
  });

  test('parameters of other kinds are refused one by one', async () => {
    const client = await RawClient.connect(open());
    await client.hello();
    const refused = [
      ['nothing', {}],
      ['create', { handle: 1, function: 'HcsCreateComputeSystem', call: 1, configuration: '{' }],
      ['create', { handle: 'x', call: 1, id: 'a', idNamespace: '', configuration: '{}' }],
      ['open', { handle: -1, id: 'vm', idNamespace: '' }],
      ['open', { handle: 1, id: 'vm\n', idNamespace: '' }],
      ['open', { handle: 1, id: { toString: 1 }, idNamespace: '' }],
      ['call', { handle: 1, function: 'constructor', text: null, call: 1 }],
      ['close', { handle: 1 }],
      ['enumerate', { function: 'x', idNamespace: '', query: '{"Ids":1}' }],
      ['service', { function: 'create', arguments: [] }],
      ['service', { function: 'HcsGrantVmAccess', arguments: [{}] }],
      ['announce', { device: 1, systemId: 'vm', classId: '', instanceId: '' }],
    ] as const;
    let id = 10;
    for (const [method, params] of refused) {
      id++;
      const { error } = await client.ask(id, method, params);
      expect([method, error]).toEqual([
        method,
        expect.objectContaining({ data: expect.anything() }),
      ]);
    }
    expect((await client.ask(99, 'withdraw', { device: 5 })).result).toBe(null);
  });
});

describe('handles', () => {
  test('of another connection, forged or closed ones are ERROR_INVALID_HANDLE', async () => {
    const core = open().core();
    await create(core);
    const client = await RawClient.connect(under);
    await client.hello();
    const ask = { function: 'HcsTerminateComputeSystem', text: null, call: 1 };
    for (const handle of [1, 2, 0x1000, 2 ** 52]) {
      const { error } = await client.ask(handle + 10, 'call', { ...ask, handle });
      expect(error).toMatchObject({ code: 0x80070006 | 0 });
    }
    expect(await look(core)).toContain('"State":"Created"');
  });

  test('are numbers that are used once', async () => {
    const core = open().core();
    await create(core);
    const client = await RawClient.connect(under);
    await client.hello();
    const params = { handle: 7, function: 'HcsOpenComputeSystem', idNamespace: '', id: 'vm' };
    expect((await client.ask(2, 'open', params)).result).toEqual({ kind: 'VirtualMachine' });
    expect((await client.ask(3, 'open', params)).error).toBeDefined();
    expect((await client.ask(4, 'close', { handle: 7 })).result).toBe(null);
    expect((await client.ask(5, 'open', params)).error).toBeDefined();
  });

  test('of a client that dies are closed, and a system that ends with its last handle ends', async () => {
    const watcher = open().core();
    const remote = under.remote();
    const { ComputeFunctions } = await import('../../src/compute/compute-functions.ts');
    const core = new ComputeFunctions(remote);
    await create(core, 'goes', { ShouldTerminateOnLastHandleClosed: true });
    await create(core, 'stays');
    await remote.close();
    while ((await look(watcher))?.includes('goes')) await new Promise((r) => setImmediate(r));
    expect(await look(watcher)).toContain('stays');
    expect(under.daemon.handleCount).toBe(0);
  });
});

describe('when the daemon ends', () => {
  test('handles hear of it, calls and waits end with HCS_E_SERVICE_DISCONNECT, and the next daemon serves', async () => {
    const core = open().core();
    const system = await create(core);
    const events: number[] = [];
    core.HcsSetComputeSystemCallback(system, 0, null, ({ Type }) => events.push(Type));
    under.engine.hold('start');
    const operation = core.HcsCreateOperation(null, null);
    core.HcsStartComputeSystem(system, operation, null);
    const exit = codeOf(() => core.HcsWaitForComputeSystemExit(system, INFINITE));
    await look(core);
    under.dropClients();
    expect(await codeOf(() => core.HcsWaitForOperationResult(operation, INFINITE))).toBe(
      'HCS_E_SERVICE_DISCONNECT',
    );
    expect(await exit).toBe('HCS_E_SERVICE_DISCONNECT');
    while (events.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([HCS_EVENT_TYPE.HcsEventServiceDisconnect]);
    const again = () => run(core, (o) => core.HcsPauseComputeSystem(system, o, null));
    expect(await codeOf(again)).toBe('HCS_E_SERVICE_DISCONNECT');
    const reopened = await core.HcsOpenComputeSystem('vm', GENERIC_ALL);
    expect(reopened).not.toBe(system);
    await core.HcsCloseComputeSystem(system);
    await core.HcsCloseComputeSystem(reopened);
    core.HcsCloseOperation(operation);
  });

  test('a client that is closed serves no more', async () => {
    const remote = open().remote();
    await remote.greet();
    await remote.close();
    expect(await codeOf(() => remote.greet())).toBe('HCS_E_SERVICE_DISCONNECT');
  });
});

describe('cancelling', () => {
  test('ends a call that waits for its turn, and a save that can be interrupted; not one that has begun', async () => {
    const core = open().core();
    const system = await create(core);
    const release = under.engine.hold('start');
    const [first, second] = [
      core.HcsCreateOperation(null, null),
      core.HcsCreateOperation(null, null),
    ];
    core.HcsStartComputeSystem(system, first, null);
    core.HcsPauseComputeSystem(system, second, null);
    await look(core);
    expect(await codeOf(() => core.HcsCancelOperation(first))).toBe('ERROR_NOT_SUPPORTED');
    core.HcsCancelOperation(second);
    expect(await codeOf(() => core.HcsWaitForOperationResult(second, INFINITE))).toBe(
      'ERROR_CANCELLED',
    );
    release();
    expect(await core.HcsWaitForOperationResult(first, INFINITE)).toBe(null);
    await run(core, (o) => core.HcsPauseComputeSystem(system, o, null));
    under.engine.hold('save');
    core.HcsSaveComputeSystem(system, first, '{"SaveStateFilePath":"/x"}');
    await look(core);
    core.HcsCancelOperation(first);
    expect(await codeOf(() => core.HcsWaitForOperationResult(first, INFINITE))).toBe(
      'ERROR_CANCELLED',
    );
  });
});

test('a new state comes before the completion that brought it, the exit before that of terminate', async () => {
  const core = open().core();
  const system = await create(core);
  const order: string[] = [];
  core.HcsSetComputeSystemCallback(system, 2, null, ({ Type, EventData }) => {
    order.push(
      Type === HCS_EVENT_TYPE.HcsEventSystemExited ? 'exit' : JSON.parse(EventData ?? '{}').State,
    );
  });
  const operation = core.HcsCreateOperation(null, () => order.push('completed'));
  core.HcsStartComputeSystem(system, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  core.HcsTerminateComputeSystem(system, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  expect(order).toEqual(['Running', 'completed', 'Stopped', 'exit', 'completed']);
});
