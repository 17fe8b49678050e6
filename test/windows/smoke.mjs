#!/usr/bin/env node
/**
 * Five minutes on a real Hyper-V host: says what of hdvkit works there, and writes a report to send back.
 *
 *   npm install hdvkit
 *   node node_modules/hdvkit/test/windows/smoke.mjs
 *   node node_modules/hdvkit/test/windows/smoke.mjs --kernel vmlinuz --initrd initrd.img
 *
 * Run it as administrator, or as a member of Hyper-V Administrators. It makes a machine without a disk, attaches the edu
 * device of this package, asks the service for its properties, and ends the machine; with a kernel it boots one more.
 * Every machine goes when this ends, whichever way it ends.
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { arch, cpus, platform, release, totalmem, version } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    kernel: { type: 'string' },
    initrd: { type: 'string' },
    append: { type: 'string', default: '' },
    seconds: { type: 'string', default: '60' },
    memory: { type: 'string', default: '512' },
    report: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(
    'node smoke.mjs [--kernel FILE] [--initrd FILE] [--append TEXT] [--seconds N] [--memory MIB] [--report FILE]',
  );
  process.exit(0);
}

/** The package: the one that this file is part of, or that is installed beside it. */
const root = dirname(createRequire(import.meta.url).resolve('hdvkit/package.json'));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const OWNER = 'hdvkit-smoke';
const STEP_LIMIT = 90_000;
/** How the edu device's driver finds it, as Linux prints it. */
const EDU = /\[1234:11e8\]/;

const report = {
  hdvkit: manifest.version,
  node: process.version,
  platform: `${platform()} ${arch()}`,
  windows: `${release()} ${version()}`,
  processors: cpus().length,
  memoryInMB: Math.round(totalmem() / 2 ** 20),
  date: new Date().toISOString(),
  doctor: undefined,
  steps: [],
  notices: [],
  events: [],
};

/** Machines that are there, to be ended on every way out. */
const machines = new Set();

const hexadecimal = (value) => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;

function describe(error) {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, function: call, hresult, code, document, path, cause } = error;
  return {
    name,
    message,
    ...(call === undefined ? {} : { function: call }),
    ...(hresult === undefined ? {} : { hresult: hexadecimal(hresult) }),
    ...(code === undefined ? {} : { code }),
    ...(path === undefined ? {} : { path }),
    ...(document === undefined ? {} : { document }),
    ...(cause === undefined ? {} : { cause: describe(cause) }),
  };
}

/** Does one thing, and writes down how it went. @returns what it gave, or undefined when it failed */
async function step(name, action, { mayFail = false } = {}) {
  const started = performance.now();
  const entry = { name, state: 'ok', milliseconds: 0 };
  report.steps.push(entry);
  let result;
  try {
    result = await action(AbortSignal.timeout(STEP_LIMIT));
    if (result?.details !== undefined) entry.details = result.details;
  } catch (error) {
    entry.state = mayFail ? 'note' : 'failed';
    entry.error = describe(error);
  }
  entry.milliseconds = Math.round(performance.now() - started);
  const time = `${entry.milliseconds} ms`.padStart(9);
  const { code, message } = entry.error ?? {};
  const why = entry.error === undefined ? '' : `: ${[code, message].filter(Boolean).join(', ')}`;
  console.log(`  ${entry.state.padEnd(6)} ${time}  ${name}${why}`);
  return result;
}

function machineDocument(extra, minor = 1) {
  return {
    SchemaVersion: { Major: 2, Minor: minor },
    Owner: OWNER,
    ShouldTerminateOnLastHandleClosed: true,
    VirtualMachine: {
      StopOnReset: true,
      Chipset: { Uefi: {} },
      ComputeTopology: {
        Memory: { Backing: 'Virtual', SizeInMB: Number(options.memory) },
        Processor: { Count: 2 },
      },
      ...extra,
    },
  };
}

/** A machine with the edu device in it. */
class Machine {
  static async create(hdvkit, title, document) {
    const { ComputeSystem, DeviceHost } = hdvkit;
    const machine = new Machine();
    machine.title = title;
    machine.system = (
      await step(`${title}: create`, async (signal) => {
        const system = await ComputeSystem.create(randomUUID(), document, { signal });
        machines.add(system);
        return { system };
      })
    )?.system;
    if (machine.system === undefined) return undefined;
    machine.events = machine.#collect(machine.system.events());
    machine.ring = hdvkit.TraceRing.create();
    machine.devices = (
      await step(`${title}: make this process its device host`, async () => ({
        devices: await DeviceHost.create(machine.system, { report: takeNotice }),
      }))
    )?.devices;
    return machine;
  }

  async #collect(events) {
    for await (const event of events) report.events.push({ machine: this.title, ...event });
  }

  /** Attaches the device as users do: TypeScript, loaded on a worker. */
  async attach() {
    const edu = pathToFileURL(join(root, 'sample-devices', 'edu.ts'));
    const attached = await step(`${this.title}: attach edu`, async (signal) => ({
      attachment: await this.devices.attach(edu, {
        export: 'EduDevice',
        trace: this.ring.memory,
        signal,
      }),
    }));
    this.attachment = attached?.attachment;
  }

  /** How often the device was used, by what was done. */
  countAccesses({ TraceKind }) {
    const names = Object.fromEntries(Object.entries(TraceKind).map(([name, id]) => [id, name]));
    const counts = {};
    this.reader ??= this.ring.reader();
    this.reader.drain(({ kind }) => {
      counts[names[kind]] = (counts[names[kind]] ?? 0) + 1;
    });
    return counts;
  }

  async end() {
    const { system, title } = this;
    await step(`${title}: terminate`, (signal) => system.terminate({ signal }), {
      mayFail: report.events.some(({ machine, type }) => machine === title && type === 'exited'),
    });
    await step(`${title}: see the exit`, async () => {
      const details = await Promise.race([
        system.exited,
        delay(STEP_LIMIT, undefined, { ref: false }).then(() => {
          throw new Error('Cannot see the exit: no event came');
        }),
      ]);
      return { details };
    });
    await step(`${title}: tear the device host down`, () => this.devices?.[Symbol.asyncDispose]());
    await step(`${title}: close`, () => system[Symbol.asyncDispose]());
    machines.delete(system);
    await this.events;
  }
}

function takeNotice(notice) {
  const { type, text, error, count } = notice;
  report.notices.push({ type, text, count, ...(error ? { error: describe(error) } : {}) });
}

async function emptyMachine(hdvkit) {
  const machine = await Machine.create(hdvkit, 'empty machine', machineDocument({}));
  if (machine === undefined) return;
  try {
    if (machine.devices !== undefined) await machine.attach();
    const started = await step('empty machine: start', async (signal) => {
      await machine.system.start({ signal });
      return {};
    });
    if (started === undefined) return;
    const properties = async (signal) => ({ details: await machine.system.properties({ signal }) });
    await step('empty machine: properties', properties);
    await step('empty machine: pause', (signal) => machine.system.pause({ signal }));
    await step('empty machine: resume', (signal) => machine.system.resume({ signal }));
    if (machine.attachment !== undefined) {
      await step('empty machine: restart edu', (signal) =>
        machine.devices.restart(machine.attachment, { signal }),
      );
      // Windows refuses it today: what it answers is worth knowing.
      const detach = (signal) => machine.devices.detach(machine.attachment, { signal });
      await step('empty machine: detach edu', detach, { mayFail: true });
    }
    await step('empty machine: accesses', async () => ({ details: machine.countAccesses(hdvkit) }));
  } finally {
    await machine.end();
  }
}

/** What a machine writes to its first serial port. The pipe is the machine's, and there when it feels like it. */
class SerialPort {
  text = '';
  #isClosed = false;
  #socket;

  constructor(pipe) {
    this.pipe = pipe;
  }

  connect() {
    if (this.#isClosed) return;
    this.#socket = connect(this.pipe);
    this.#socket.on('data', (bytes) => {
      this.text += bytes.toString('latin1');
    });
    this.#socket.on('error', () => setTimeout(() => this.connect(), 200).unref());
  }

  close() {
    this.#isClosed = true;
    this.#socket?.destroy();
  }
}

async function linuxMachine(hdvkit) {
  const pipe = `\\\\.\\pipe\\${OWNER}-${process.pid}`;
  const { kernel, initrd, append } = options;
  const files = [kernel, initrd].filter((file) => file !== undefined).map((file) => resolve(file));
  const virtualMachine = {
    Chipset: {
      LinuxKernelDirect: {
        KernelFilePath: files[0],
        ...(files[1] === undefined ? {} : { InitRdPath: files[1] }),
        KernelCmdLine: `console=ttyS0 panic=-1 ${append}`.trim(),
      },
    },
    Devices: { ComPorts: { 0: { NamedPipe: pipe } } },
  };
  // Booting a kernel came with version 2.3.
  const document = machineDocument(virtualMachine, 3);
  const machine = await Machine.create(hdvkit, 'Linux', document);
  if (machine === undefined) return;
  const serial = new SerialPort(pipe);
  try {
    for (const file of files) {
      await step(`Linux: let the machine read ${file}`, () =>
        hdvkit.HcsGrantVmAccess(machine.system.id, file),
      );
    }
    if (machine.devices !== undefined) await machine.attach();
    serial.connect();
    await step('Linux: start', (signal) => machine.system.start({ signal }));
    await step(`Linux: see edu on the console within ${options.seconds} s`, async () => {
      const end = performance.now() + Number(options.seconds) * 1000;
      while (!EDU.test(serial.text) && performance.now() < end) await delay(250);
      if (!EDU.test(serial.text)) {
        const heard = `${serial.text.length} characters came`;
        throw new Error(`Cannot find 1234:11e8 on the console: ${heard}`);
      }
    });
    await step('Linux: accesses', async () => ({ details: machine.countAccesses(hdvkit) }));
  } finally {
    serial.close();
    report.console = serial.text;
    await machine.end();
  }
}

/** Ends what is left, also of an earlier run. */
async function leaveNothing(hdvkit) {
  for (const system of machines) await system[Symbol.asyncDispose]().catch(() => undefined);
  machines.clear();
  await step('nothing is left behind', async (signal) => {
    const left = await hdvkit.ComputeSystem.enumerate({ Owners: [OWNER] }, { signal });
    for (const { Id } of left) {
      const system = await hdvkit.ComputeSystem.open(Id, { signal });
      await system[Symbol.asyncDispose]();
    }
    if (left.length > 0)
      throw new Error(`Cannot leave it at that: ${left.length} were left, now ended`);
  });
}

/** The package, and of its inside what counts accesses. */
async function loadHdvkit() {
  const inside = (path) => import(pathToFileURL(join(root, 'dist/src', path)).href);
  const parts = await Promise.all([
    import('hdvkit'),
    import('hdvkit/hcs'),
    inside('inspect/trace-ring.js'),
  ]);
  const hdvkit = Object.assign({}, ...parts);
  hdvkit.useHost('windows');
  return hdvkit;
}

function askDoctor() {
  const command = join(root, manifest.bin.hdvkit);
  const { stdout, stderr, status } = spawnSync(process.execPath, [command, 'doctor', '--json'], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`Cannot run hdvkit doctor: ${stderr}`);
  report.doctor = JSON.parse(stdout);
  const missing = report.doctor.checks.filter(
    ({ state, neededBy }) => state === 'missing' && neededBy === 'windows',
  );
  if (missing.length > 0) {
    throw new Error(missing.map(({ title, detail }) => `${title}: ${detail}`).join('; '));
  }
}

function writeReport() {
  const stamp = report.date.replaceAll(/[:.]/g, '-');
  const file = resolve(options.report ?? `hdvkit-smoke-${stamp}.json`);
  const text = JSON.stringify(
    report,
    (_key, value) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value),
    2,
  );
  writeFileSync(file, `${text}\n`);
  return file;
}

async function main() {
  console.log(
    `hdvkit ${report.hdvkit}, Node ${report.node}, ${report.windows} (${report.platform})`,
  );
  await step('doctor', async () => askDoctor());
  const hdvkit = await step('load the libraries', loadHdvkit);
  if (hdvkit === undefined) return;
  let isLeaving = false;
  const leave = async (code) => {
    if (isLeaving) return;
    isLeaving = true;
    await leaveNothing(hdvkit);
    console.log(`\nReport: ${writeReport()}`);
    process.exit(code);
  };
  for (const signal of ['SIGINT', 'SIGBREAK', 'SIGHUP']) process.on(signal, () => leave(130));
  process.on('uncaughtException', (error) => {
    report.steps.push({ name: 'uncaught', state: 'failed', error: describe(error) });
    void leave(1);
  });
  await step('service properties', async () => ({
    details: JSON.parse(await hdvkit.HcsGetServiceProperties('{"PropertyTypes":["Basic"]}')),
  }));
  await step('list of machines', async (signal) => {
    const systems = await hdvkit.ComputeSystem.enumerate({}, { signal });
    return { details: systems.map(({ SystemType, State }) => ({ SystemType, State })) };
  });
  await emptyMachine(hdvkit);
  if (options.kernel !== undefined) await linuxMachine(hdvkit);
  await leaveNothing(hdvkit);
  await hdvkit.selectedHost().close();
}

await main();
const failed = report.steps.filter(({ state }) => state === 'failed').length;
console.log(
  `\n${failed === 0 ? 'Everything worked' : `${failed} of ${report.steps.length} steps failed`}. Report: ${writeReport()}`,
);
process.exitCode = failed === 0 ? 0 : 1;
