import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { QemuEngine } from '../../src/engines/qemu/engine.ts';
import { createGranted } from './create-granted.ts';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 80_000, interval: 100 };
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

/** The firmware's own shell, on the first serial port of a machine with nothing to boot. */
class Shell {
  readonly #socket: Socket;
  #printed = '';

  constructor(path: string) {
    this.#socket = connect(path);
    this.#socket.setEncoding('utf8').on('data', (text: string) => {
      this.#printed += text;
      // It waits for a while for somebody who does not want its start-up script.
      if (text.includes('to skip')) this.#socket.write(ESCAPE);
    });
  }

  /** Runs a command; what it printed. */
  async run(command: string): Promise<string> {
    await this.#prompt();
    this.#printed = '';
    this.#socket.write(`${command}\r`);
    await this.#prompt();
    return this.#printed;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #prompt(): Promise<void> {
    await expect.poll(() => this.#printed, PATIENCE).toContain('Shell> ');
  }
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
  const shell = new Shell(console);
  try {
    await machine.start([]);
    let printed = '';
    for (const command of commands) printed += await shell.run(command);
    return printed;
  } finally {
    shell.close();
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
