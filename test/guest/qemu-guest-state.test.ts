import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import { createGranted } from './create-granted.ts';
import { FirmwareConsole } from './firmware-console.ts';

const VARIABLE = `HdvkitTest -guid ${randomUUID()}`;
const ESCAPE = '\x1b';

let folder: string;
let state: string;
const engine = new QemuEngine();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvu-'));
  state = join(folder, 'state');
  await engine.files.createGuestState(state);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PROMPT = /Shell> /;

/** Runs a command in the firmware's own shell; what it printed. */
async function run(shell: FirmwareConsole, command: string): Promise<string> {
  await shell.says(PROMPT);
  shell.forget();
  shell.write(`${command}\r`);
  await shell.says(PROMPT);
  return shell.printed;
}

/** Starts a machine without an operating system, runs commands in its firmware, and ends it. */
async function inFirmware(
  commands: readonly string[],
  ForceTransientState: boolean,
): Promise<string> {
  const console = join(folder, 'com1');
  const runtimeId = randomUUID();
  const machine = await createGranted(engine, {
    id: 'hdvkit-state',
    runtimeId,
    document: {
      VirtualMachine: {
        Chipset: { Uefi: {} },
        ComputeTopology: { Memory: { SizeInMB: 128 } },
        Devices: { ComPorts: { '0': { NamedPipe: console } } },
        GuestState: { GuestStateFilePath: state, ForceTransientState },
      },
    },
    exited: () => {},
    notify: () => {},
  });
  try {
    await using shell = await FirmwareConsole.connect(console);
    await machine.start([]);
    // It waits for a while for somebody who does not want its start-up script.
    await shell.says(/to skip/);
    shell.write(ESCAPE);
    let printed = '';
    for (const command of commands) printed += await run(shell, command);
    return printed;
  } finally {
    await machine.terminate();
  }
}

test('a variable that one machine set is there in the next, and what a transient one sets is not', async () => {
  await inFirmware([`setvar ${VARIABLE} -nv -bs -rt =S"kept"`], false);
  const before = readFileSync(state);
  const printed = await inFirmware(
    [`setvar ${VARIABLE}`, `setvar ${VARIABLE} -nv -bs -rt =S"gone"`],
    true,
  );
  // "kept", as the shell prints it.
  expect(printed).toContain('6B 65 70 74');
  expect(readFileSync(state).equals(before)).toBe(true);
});
