import { ComputeSystem } from '../../hcs/compute-system.ts';
import type { ComputeSystem as Document } from '../../hcs/schema/documents.ts';
import type { HostBinding } from '../../hosts/host.ts';
import { CleanUp } from '../clean-up.ts';
import { withAbsolutePaths } from '../documents/absolute-paths.ts';
import { placedProblems } from '../documents/document-problems.ts';
import { problemLines } from '../documents/problem-lines.ts';
import { readDocument, STANDARD_INPUT } from '../documents/read-document.ts';
import { GuestConsole } from '../guest-console.ts';
import { openHost } from '../open-host.ts';
import { errorColors, remark } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { type ConsolePort, consolePort } from './console-port.ts';
import { exitCodeOf } from './exit-code.ts';
import { grantFiles, needsGrants } from './grant-files.ts';
import { JsonOutput, type MachineOutput, TextOutput } from './machine-output.ts';
import { MachinePrompt } from './machine-prompt.ts';
import type { VmRunOptions } from './run-options.ts';
import { openNamedDevice, RunningMachine } from './running-machine.ts';

/** Longest that a timer may be. */
const LONG_MS = 2 ** 31 - 1;

/** Runs the machine of a document until it has ended; the exit code says how. */
export async function runMachine(path: string, options: VmRunOptions): Promise<void> {
  const binding = openHost(options.host);
  const given = await machineDocument(path);
  const files = await Promise.all(options.device.map(openNamedDevice));
  await using cleanUp = new CleanUp();
  cleanUp.add(() => binding.close());
  const { signal } = cleanUp;
  const output = options.json ? new JsonOutput() : new TextOutput();
  const port = consolePort(binding.name, given, cleanUp);
  const id = options.id ?? idFor(binding);
  const core = binding.computeCore;
  if (needsGrants(binding.name)) await grantFiles(core, id, port.document, cleanUp);
  const system = cleanUp.use(await ComputeSystem.create(id, port.document, { core, signal }));
  const shutdownMs = options.shutdownTimeout * 1000;
  const machine = cleanUp.use(new RunningMachine(system, binding, cleanUp, output, shutdownMs));
  const following = machine.follow();
  const session = new ConsoleSession(port, options, output);
  cleanUp.add(() => session.close());
  for (const file of files) await machine.attach(file);
  await session.start(binding, machine, signal);
  output.started(id, describe(port));
  await session.interact(machine, signal);
  if (signal.aborted) return; // Whoever aborted says how the process ends.
  await following;
  process.exitCode = exitCodeOf(await system.exited);
}

/** The document, which fits the schema, with whole paths. @throws UsageError when it does not; the problems are printed before */
async function machineDocument(path: string): Promise<Document> {
  const document = await readDocument(path);
  const problems = placedProblems('ComputeSystem', document);
  if (problems.length > 0) {
    for (const line of problemLines(path, problems, errorColors())) remark(line);
    throw new UsageError(
      `Cannot run ${path === STANDARD_INPUT ? 'standard input' : path}: the document has ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`,
      'hdvkit schema TYPE shows what a type has',
    );
  }
  return withAbsolutePaths(document.value as Document);
}

/** Hyper-V grants files to machines whose id is a GUID. */
function idFor({ name }: HostBinding): string {
  return name === 'windows' ? crypto.randomUUID() : `hdvkit-vm-${process.pid}`;
}

function describe({ path, isAdded }: ConsolePort): string {
  const place = isAdded ? 'its first COM port is connected here' : `its console is ${path}`;
  if (!process.stdin.isTTY) return path === undefined ? 'it has no console' : place;
  return path === undefined
    ? 'it has no console; help lists the commands'
    : `${place}; Ctrl-] opens the prompt`;
}

/** The console of the machine on this terminal, and its prompt. */
class ConsoleSession {
  readonly #console: GuestConsole | undefined;
  readonly #output: MachineOutput;
  readonly #hasPrompt: boolean;
  #prompt: MachinePrompt | undefined;

  constructor({ path }: ConsolePort, { json }: VmRunOptions, output: MachineOutput) {
    this.#output = output;
    this.#hasPrompt = Boolean(process.stdin.isTTY) && !json;
    if (path === undefined) return;
    const console = new GuestConsole(path, {
      output: (chunk) => output.console(chunk),
      terminal: this.#hasPrompt,
    });
    this.#console = console;
    if (output instanceof TextOutput) output.say = (line) => this.#say(line);
  }

  /** Starts the machine, connected before, so that nothing is lost; under Windows the pipe is there after it. */
  async start({ name }: HostBinding, machine: RunningMachine, signal: AbortSignal): Promise<void> {
    if (name !== 'windows') await this.#console?.connect();
    this.#console?.hold();
    await machine.start();
    if (name === 'windows' && this.#console !== undefined) {
      const isOver = machine.system.exited.catch(() => undefined);
      await Promise.race([this.#console.connectWhenThere(signal), isOver]);
    }
  }

  /** Console and prompt in turns, until the machine has ended or the command is interrupted. */
  async interact(machine: RunningMachine, signal: AbortSignal): Promise<void> {
    const { exited } = machine.system;
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    for (let isBack = false; !signal.aborted; isBack = true) {
      if (this.#console !== undefined) {
        const talk = this.#console.interact(exited, undefined, signal);
        if (isBack) this.#output.remark(errorColors().dim('Back at the console'));
        const how = await talk;
        if (how === 'ended' || signal.aborted) return;
      }
      if (!this.#hasPrompt) {
        await waitingFor(Promise.race([exited, aborted]));
        return;
      }
      this.#prompt = new MachinePrompt(machine, this.#output, this.#console !== undefined);
      const how = await this.#prompt.interact(exited, aborted);
      this.#prompt = undefined;
      if (how === 'ended') return;
    }
  }

  #say(line: string): void {
    if (this.#prompt !== undefined) this.#prompt.remark(line);
    else this.#console?.remark(line);
  }

  close(): void {
    this.#prompt?.close();
    this.#console?.close();
  }
}

/** A machine in this process, without a console, keeps nothing that would keep the process. */
async function waitingFor(something: Promise<unknown>): Promise<void> {
  const keep = setInterval(() => undefined, LONG_MS);
  try {
    await something;
  } finally {
    clearInterval(keep);
  }
}
