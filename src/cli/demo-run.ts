import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ComputeSystem } from '../hcs/compute-system.ts';
import { DeviceHost } from '../hdv/device-host.ts';
import { TraceRecorder } from '../inspect/trace-recorder.ts';
import { TraceKind, type TraceRecord } from '../inspect/trace-ring.ts';
import { logCalls } from './call-log.ts';
import { CleanUp } from './clean-up.ts';
import { Edu, runDemoProgram } from './demo-program.ts';
import { openDeviceFile } from './device-file.ts';
import type { GuestSession } from './guest-session.ts';
import { formatDuration, formatHistogram } from './latency-histogram.ts';
import { showNotice } from './notices.ts';
import { openHost } from './open-host.ts';
import { packageRoot } from './package.ts';
import { prepareGuest } from './prepare-guest.ts';
import { colors, print } from './terminal.ts';
import { TraceView } from './trace-view.ts';

/** What `hdvkit demo` was given. */
export interface DemoOptions {
  readonly host?: string;
  readonly accesses?: number;
}

const ID = 'hdvkit-demo';
/** Reads that are made before the clock counts, so that what is measured is compiled code. */
const WARM_UP = 20_000;
/** How long the firmware of a machine without a guest is watched. */
const FIRMWARE_MS = 1000;

/** Attaches the edu device to a machine, drives it, and measures. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const file = await openDeviceFile(join(packageRoot(), 'sample-devices', 'edu.ts'), 'EduDevice');
  const binding = openHost(options.host, 'simulated');
  await using cleanUp = new CleanUp();
  cleanUp.add(() => binding.close());
  const c = colors();
  const trace = new TraceView(file, { prefix: '      ', filter: isOfInterest });
  const show = (line: string): void => {
    trace.flush();
    print(`  ${c.cyan(line)}`);
  };

  print(
    c.bold(`The host ${binding.name} makes a machine, and this process becomes its device host`),
  );
  const core = logCalls(binding.computeCore, show);
  const hdv = { ...binding.hdv, vmDeviceHost: logCalls(binding.hdv.vmDeviceHost, show) };
  const { signal } = cleanUp;
  const id = `${ID}-${process.pid}`;
  const setup = cleanUp.use(await prepareGuest(binding.name));
  const system = cleanUp.use(await ComputeSystem.create(id, setup.document, { core, signal }));
  const devices = cleanUp.use(
    await DeviceHost.create(system, { binding: hdv, report: showNotice }),
  );
  const attachment = await devices.attach(file.module, {
    export: 'EduDevice',
    trace: trace.ring.memory,
    signal,
  });
  if (attachment.function) attachment.function.observer = new TraceRecorder(trace.ring);
  await system.start({ signal });
  if (setup.open === undefined) {
    await watchFirmware(trace, signal);
    return;
  }
  const session = cleanUp.use(await setup.open(binding, system, signal));
  const before = trace.skip();
  if (before > 0) print(c.dim(`  (firmware and kernel made ${before} accesses of config space)`));
  await drive(session, trace, options.accesses);
}

/** Where no guest of ours runs, the firmware is all that touches the device; a driver of the user's is another command. */
async function watchFirmware(trace: TraceView, signal: AbortSignal): Promise<void> {
  const c = colors();
  await delay(FIRMWARE_MS, undefined, { signal });
  trace.flush();
  print(
    `\n${c.bold('The machine runs with the device in it.')} A driver needs a guest of yours:\n  hdvkit run FILE --host windows --kernel vmlinux --initrd initrd.img --trace\n`,
  );
}

async function drive(
  session: GuestSession,
  trace: TraceView,
  accesses: number | undefined,
): Promise<void> {
  const c = colors();
  const settled = async (line: string): Promise<void> => {
    // A device on a worker records a moment before this thread can see it.
    await new Promise((resolve) => setImmediate(resolve));
    trace.flush();
    print(line);
  };
  const edu = await runDemoProgram(session.guest, {
    heading: (text) => settled(`\n${c.bold(text)}`),
    result: (text) => settled(`  ${c.green('=')} ${text}`),
  });
  if (trace.firstAccess !== undefined) {
    const toFirst = (trace.firstAccess - performance.timeOrigin) * 1e6;
    print(
      c.dim(`\n  ${formatDuration(toFirst)} from the start of this process to the first access`),
    );
  }

  trace.ring.paused = true;
  const reads = accesses ?? session.defaultAccesses;
  print(`\n${c.bold(`Latency of ${reads} MMIO reads of ID, ${session.measuredBy}`)}`);
  await session.measure(edu, Edu.ID, Math.min(WARM_UP, reads));
  print(formatHistogram(await session.measure(edu, Edu.ID, reads)));
  await edu.disableInterrupts();
}

/** Leaves out what config space is full of: reads, and writes that only repeat what is known. */
function isOfInterest({ kind, location }: TraceRecord): boolean {
  if (kind === TraceKind.CONFIG_READ) return false;
  return (
    kind !== TraceKind.CONFIG_WRITE || location === 0x04 || (location >= 0x10 && location < 0x28)
  );
}
