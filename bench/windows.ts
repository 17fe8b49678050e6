/**
 * What does an intercept cost as a native thread of the device host sees it: through the gate, and through a plain
 * callback of koffi?
 *
 * Native threads read 4 bytes from a device on a worker. *polling*: they read back to back; *idle*: each pauses for
 * 1 ms between reads, so that the worker has gone to sleep; *busy*: they do, and the worker is at work in slices of 2 ms. On Linux
 * over a stand-in of the system's functions, on Windows (or Wine, see windows-wine.ts) over the real ones.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { UsageError } from '../src/cli/usage-error.ts';
import { DEVICE_TABLE, DEVICE_TABLE_BYTES } from '../src/ffi/gate/gate-layout.ts';
import type { GateHandle } from '../src/ffi/gate/gate-memory.ts';
import { GateServer } from '../src/ffi/gate/gate-server.ts';
import { InterceptGate } from '../src/ffi/gate/intercept-gate.ts';
import { koffi } from '../src/ffi/native-config.ts';
import { windowsSystem } from '../src/ffi/windows-system.ts';
import { runsFromSource, workerExecArgv } from '../src/transport/typescript-loader.ts';
import { loadNativeThreads, Run } from '../test/ffi/gate/native-threads.ts';
import { buildStandIns, canBuildStandIns, standInFile } from '../test/windows/build-stand-ins.ts';
import { count, type Measurement, percentile, print } from './report.ts';

const ROUNDS = count('--rounds', 5);
const THREADS = [1, 2, 4];
const SLICE_MS = 2;
const REGIMES = {
  polling: { calls: 1500, pauseNs: 0, busy: false },
  idle: { calls: 80, pauseNs: 1_000_000, busy: false },
  busy: { calls: 25, pauseNs: 1_000_000, busy: true },
} as const;
const PATHS = ['gate', 'koffi callback'] as const;

interface ConsumerData {
  readonly path: (typeof PATHS)[number];
  readonly system: string | undefined;
  readonly handle: GateHandle;
  /** Word 0: 1: be busy. */
  readonly control: SharedArrayBuffer;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function work(): void {
  for (const end = performance.now() + SLICE_MS; performance.now() < end; );
}

/** Serves reads until the process ends. */
async function consume({ path, system, handle, control }: ConsumerData): Promise<void> {
  const busy = new Int32Array(control);
  if (path === 'gate') {
    const native = windowsSystem(system);
    const server = new GateServer(native, handle);
    parentPort!.postMessage([0, 0]);
    for (;;) {
      while (server.next()) server.answerValue(0x1234, 0);
      if (Atomics.load(busy, 0) === 1) {
        work();
        await turn();
      } else if (!server.spin()) {
        if (server.prepareToSleep()) native.WaitForSingleObject(server.wakeEvent, 100);
        server.wakeUp();
      }
    }
  }
  const prototype = koffi.proto('int', ['uintptr_t', 'int', 'uint64_t', 'uint64_t', 'void *']);
  const read = (_: number, __: number, ___: number, ____: number, value: bigint): number => {
    koffi.encode(value, 'uint32_t', 0x1234);
    return 0;
  };
  const table = new BigUint64Array(DEVICE_TABLE_BYTES / 8);
  const field = DEVICE_TABLE.gate_read_intercepted_memory / 8;
  table[field] = koffi.register(read, koffi.pointer(prototype));
  parentPort!.postMessage([Number(koffi.address(table)), 0]);
  setInterval(() => table.length, 1000);
  for (;;) {
    if (Atomics.load(busy, 0) === 1) {
      work();
      await turn();
    } else {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Whom native threads call: addresses of device table and context. */
interface Target {
  readonly name: string;
  readonly table: number;
  readonly context: number;
  readonly control: Int32Array;
}

async function startTarget(
  path: ConsumerData['path'],
  system: string | undefined,
): Promise<Target> {
  const gate = InterceptGate.create(windowsSystem(system));
  const control = new SharedArrayBuffer(4);
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { path, system, handle: gate.handle, control } satisfies ConsumerData,
    execArgv: workerExecArgv(runsFromSource),
  });
  const [[table]] = (await once(worker, 'message')) as [[number]];
  return {
    name: path,
    table: path === 'gate' ? gate.tableAddress : table,
    context: gate.contextAddress,
    control: new Int32Array(control),
  };
}

async function main(): Promise<void> {
  if (process.platform !== 'win32' && !canBuildStandIns('elf')) {
    throw new UsageError(
      'Cannot measure over a stand-in of the system: there is no gcc',
      'install it with its C library (apt-get install gcc libc6-dev)',
    );
  }
  const system =
    process.platform === 'win32'
      ? undefined
      : join(buildStandIns('elf'), standInFile('elf', 'system'));
  const native = loadNativeThreads();
  const targets = await Promise.all(PATHS.map((path) => startTarget(path, system)));
  const samples = new Map<string, { unit: string; samples: number[] }>();
  const record = (name: string, unit: string, value: number): void => {
    const entry = samples.get(name) ?? { unit, samples: [] };
    samples.set(name, entry);
    entry.samples.push(value);
  };

  const measure = async (
    target: Target,
    regime: keyof typeof REGIMES,
    threads: number,
    kept: boolean,
  ) => {
    const { calls, pauseNs, busy } = REGIMES[regime];
    Atomics.store(target.control, 0, busy ? 1 : 0);
    // A worker that sleeps on a timer notices within 20 ms; others at once.
    await new Promise((resolve) => setTimeout(resolve, 30));
    const start = native.function('run_start');
    const begin = async (count: number): Promise<[number, Run]> => {
      const { table, context } = target;
      const address = Number(start(table, context, threads, count, pauseNs, 1));
      const run = new Run(address);
      while (run.live > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      return [address, run];
    };
    // Both ends learn how long to spin.
    await begin(calls);
    const [address, run] = await begin(calls);
    Atomics.store(target.control, 0, 0);
    if (run.failed + run.wrong > 0) throw new Error(`${run.failed + run.wrong} reads failed`);
    if (!kept) return;
    const times = new Uint32Array(
      koffi.view(BigInt(native.function('run_times')(address)), 4 * calls * threads),
    );
    const us = Array.from(times, (ns) => ns / 1000);
    const what = `${target.name}, ${regime}, ${threads} thread${threads > 1 ? 's' : ''}`;
    record(`${what}, p50`, 'µs', percentile(us, 0.5));
    record(`${what}, p99`, 'µs', percentile(us, 0.99));
    if (regime !== 'polling') return;
    const seconds = Number(native.function('run_elapsed')(address)) / 1e9;
    record(`${what}, reads`, 'per second', (calls * threads) / seconds);
  };

  for (let round = 0; round <= ROUNDS; round++) {
    for (const regime of Object.keys(REGIMES) as (keyof typeof REGIMES)[]) {
      for (const threads of THREADS) {
        for (const target of targets) await measure(target, regime, threads, round > 0);
      }
    }
  }
  const measurements: Measurement[] = Array.from(samples, ([name, rest]) => ({ name, ...rest }));
  print({
    title: `What does an intercept cost, as the native thread sees it? (${lane()})`,
    measurements: measurements.sort((a, b) => order(a.name) - order(b.name)),
  });
  process.exit(0);
}

/** Regime, then threads, then figure, then path: what is compared stands together. */
function order(name: string): number {
  const [path = '', regime = '', threads = '', figure = ''] = name.split(', ');
  return (
    Object.keys(REGIMES).indexOf(regime) * 1000 +
    Number.parseInt(threads, 10) * 100 +
    ['p50', 'p99', 'reads'].indexOf(figure) * 10 +
    (PATHS as readonly string[]).indexOf(path)
  );
}

function lane(): string {
  if (process.platform !== 'win32') return `${process.platform}, a stand-in for the system`;
  const wine = koffi.load('ntdll.dll').symbol('wine_get_version') !== null;
  return wine ? 'Windows build under Wine' : 'Windows';
}

if (isMainThread) await main();
else await consume(workerData as ConsumerData);
