// Longer than most: the rounds of one run, whose parts share what is known of the machines.
import { connectService } from '../../../src/daemon/connect-service.ts';
import { StateStore } from '../../../src/daemon/store/state-store.ts';
import { SeededRandom } from '../../../src/engines/simulated/random.ts';
import { BuiltDaemon } from './built-daemon.ts';
import { chooseOperation } from './choice.ts';
import { Client, LOST } from './client.ts';
import { DaemonProcess } from './daemon-process.ts';
import { History, Violation } from './history.ts';
import { type Aim, KillMoment } from './kill-moment.ts';
import type { KilledHost } from './killed-host.ts';
import {
  ended,
  endsMachine,
  gone,
  isCreation,
  isThere,
  type MachineState,
  type Operation,
  type OperationKind,
} from './machine-model.ts';
import { type CutOff, keyOf, PossibleStates } from './possible-states.ts';
import { Report } from './report.ts';

/** What a run is to be. */
export interface RandomKillOptions {
  readonly seed: number;
  readonly kills: number;
  readonly ids: readonly string[];
  readonly host: KilledHost;
  /** Takes a line now and then. */
  readonly log?: (line: string) => void;
}

const CLIENTS = 3;
/** Operations after which whatever begins is as good as what is aimed at. */
const PATIENCE = 12;
/** One start in so many is killed while it takes over. */
const TAKEOVERS_KILLED_IN = 6;
/** One time in so many a machine is killed while no daemon is there. */
const MACHINES_KILLED_IN = 6;
/** One end in so many is not heard of before the next kill. */
const UNHEARD_IN = 4;
/** Kills between lines of the log. */
const LOG_EVERY = 25;
/** What a machine says that ended with its daemon. */
const WITH_DAEMON = 'the service that ran the machine has ended, and the machine with it';

/** Ids for the machines of a run, which no other run has at the same time: accounts of machines follow from them. */
export function idsOf(seed: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `vm-${String.fromCharCode(97 + i)}${seed}`);
}

/** Kills a daemon again and again while clients use it, and looks each time whether anything was lost or left. */
export class RandomKill {
  readonly report = new Report();
  readonly #options: RandomKillOptions;
  readonly #host: KilledHost;
  readonly #random: SeededRandom;
  readonly #moment: KillMoment;
  /** Kind of operation that the daemon is to be killed in, when it is time. */
  #wanted: OperationKind | undefined;
  readonly #history = new History();
  readonly #machines: ReadonlyMap<string, PossibleStates>;
  /** Ids with calls that were cut off since they were last looked at. */
  readonly #touched = new Set<string>();
  readonly #cutOff = new Map<string, CutOff>();
  #built: BuiltDaemon | undefined;
  #daemon: DaemonProcess | undefined;
  #spare: DaemonProcess | undefined;
  #clients: readonly Client[] = [];
  /** Whether clients begin nothing more. */
  #isOver = false;
  #isKilled = false;

  constructor(options: RandomKillOptions) {
    this.#options = options;
    this.#host = options.host;
    this.#random = new SeededRandom(options.seed);
    this.#moment = new KillMoment(this.#random, options.host.mostSteps);
    this.#machines = new Map(options.ids.map((id) => [id, new PossibleStates()]));
  }

  /** @throws Error with the seed, the steps and the daemon's words when something was lost or left */
  async run(): Promise<Report> {
    const { report } = this;
    const { kills, seed, log } = this.#options;
    this.#built = await BuiltDaemon.build();
    try {
      while (report.kills < kills) {
        await this.#begin();
        if (report.operations === 0) await this.#grantAll();
        await this.#settle();
        await this.#work();
        if (report.kills % LOG_EVERY === 0) log?.(`${report.kills} kills`);
      }
      await this.#begin();
      await this.#settle();
      await this.#endAll();
      return report;
    } catch (error) {
      const id = error instanceof Violation ? error.id : undefined;
      throw new Error(
        [
          `HDVKIT_SEED=${seed}, after ${report.kills} kills: ${(error as Error).message}`,
          `Steps${id === undefined ? '' : ` of ${id}, and the last of all`}:`,
          this.#history.text(id),
          'The daemon said:',
          this.#daemon?.said.split('\n').slice(-30).join('\n') ?? 'nothing',
        ].join('\n'),
        { cause: error },
      );
    }
  }

  /** Ends what is left after a failure. */
  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#daemon?.end('SIGKILL');
    await this.#spare?.end('SIGKILL');
    await this.#host.close();
    this.#built?.remove();
  }

  /** Has a daemon take over, and clients connect to it. Some are killed before they serve. */
  async #begin(): Promise<void> {
    for (;;) {
      const daemon = this.#spare ?? this.#prepared();
      this.#spare = undefined;
      this.#daemon = daemon;
      this.#host.adopt(daemon.pid);
      await daemon.ready();
      const start = performance.now();
      const isLast = this.report.kills + 1 >= this.#options.kills;
      if (!isLast && this.#random.below(TAKEOVERS_KILLED_IN) === 0) {
        const ms = this.#moment.usualMs('takeover') * (this.#random.below(1000) / 1000);
        void daemon.begin();
        await new Promise((resolve) => setTimeout(resolve, ms));
        this.report.inTakeovers++;
        await this.#killDaemon(`kill a daemon ${ms.toFixed(0)} ms after it began to take over`);
        await this.#lookAround();
        continue;
      }
      await daemon.begin();
      if (daemon.hasExited) throw new Violation('the daemon does not start');
      this.#moment.took('takeover', performance.now() - start);
      this.#spare = this.#prepared();
      const { socket } = this.#host;
      const connections = Array.from({ length: CLIENTS }, () => connectService({ socket }));
      this.#clients = (await Promise.all(connections)).map(
        (connection, number) => new Client(number, this.#host, connection),
      );
      this.#history.add('a daemon serves');
      return;
    }
  }

  async #grantAll(): Promise<void> {
    for (const id of this.#options.ids) await this.#clients[0]!.grant(id);
  }

  #prepared(): DaemonProcess {
    return new DaemonProcess(this.#built!.program, this.#host.options);
  }

  /** Compares all that can be seen with what may be. */
  async #settle(): Promise<void> {
    const { report } = this;
    const first = this.#clients[0]!;
    const listed = await first.list();
    for (const id of listed.keys()) {
      if (!this.#machines.has(id)) throw new Violation(`${id} is listed, and was never created`);
    }
    for (const [id, machine] of this.#machines) {
      const life = listed.get(id);
      this.#history.add(`${id} is ${life ?? 'not listed'}`);
      this.#observe(id, `it is ${life ?? 'not listed'}`, (state) =>
        life === undefined ? !isThere(state) : state.life === life,
      );
      if (life === undefined) {
        await this.#hear(first, id);
      } else {
        report.takenOver++;
        if (machine.states.some(({ isHeld }) => isHeld)) await first.hold(id);
      }
      await this.#readSaved(id);
    }
    this.#noLeftovers([...listed.keys()]);
    for (const id of this.#touched) if (listed.has(id)) await this.#probe(first, id);
    for (const [id, { operation, done, undone }] of this.#cutOff) {
      const found = this.#machines.get(id)!.states.map(keyOf);
      const isDone = found.some((text) => done.has(text));
      const isUndone = found.some((text) => undone.has(text));
      report.cutOff(operation.kind, isDone === isUndone ? undefined : isDone);
    }
    this.#cutOff.clear();
    this.#touched.clear();
  }

  /** An end is told once, with its reason. */
  async #hear(client: Client, id: string): Promise<void> {
    if (this.#host.outlives && this.#random.below(UNHEARD_IN) === 0) return;
    const exit = await client.hear(id);
    this.#history.add(`${id} has ${exit === undefined ? 'no end to hear of' : `ended: ${exit}`}`);
    const [type] = exit?.split(':') ?? [];
    this.#observe(id, exit === undefined ? 'it is gone' : `it has ended (${exit})`, (state) =>
      exit === undefined ? state.life === 'absent' : state.life === 'Ended' && state.exit === type,
    );
    this.#machines.get(id)!.change((state) => [gone(state)]);
    if (exit === undefined) return;
    if (!this.#host.outlives && type === 'UnexpectedExit' && !exit.endsWith(WITH_DAEMON)) {
      throw new Violation(`${id} ended with its daemon, and is said to be ${exit}`, id);
    }
    const again = await client.hear(id);
    if (again !== undefined) throw new Violation(`the end of ${id} is told twice: ${again}`, id);
  }

  async #readSaved(id: string): Promise<void> {
    try {
      const parts = await this.#host.readSaved(id);
      if (parts !== undefined) this.report.wholeFiles++;
      const text = JSON.stringify(parts);
      this.#observe(id, `its file has ${text}`, ({ saved }) => JSON.stringify(saved) === text);
    } catch (error) {
      if (error instanceof Violation) throw error;
      throw new Violation(`the file of ${id} is not whole: ${(error as Error).message}`, id);
    }
  }

  /** Finds out what the daemon and QEMU have together. */
  async #probe(client: Client, id: string): Promise<void> {
    if (!this.#host.kinds.includes('updateDisk')) return;
    for (const lun of [0, 1, 2]) await this.#call(client, id, { kind: 'updateDisk', lun });
  }

  #noLeftovers(ids: readonly string[]): void {
    const found = this.#host.leftovers(ids);
    if (found.length === 0) return;
    const [id] = this.#options.ids.filter((one) => found[0]!.includes(one));
    throw new Violation(`There is ${found.join('; ')}, with machines ${ids.join(', ')}`, id);
  }

  #observe(id: string, seen: string, fits: (state: MachineState) => boolean): void {
    const possible = this.#machines.get(id)!.observe(fits);
    if (possible === undefined) return;
    const texts = possible.map((state) => JSON.stringify(state));
    throw new Violation(`${id}: ${seen}, and it may be one of\n  ${texts.join('\n  ')}`, id);
  }

  /** Clients do what they do until the daemon is killed. */
  async #work(): Promise<void> {
    this.#isOver = false;
    this.#isKilled = false;
    this.#wanted = undefined;
    const aim = this.#moment.aim(this.#host.kinds);
    let begun = 0;
    let kill: Promise<void> | undefined;
    const onBegin = ({ kind }: Operation): void => {
      begun++;
      if (kill !== undefined || begun <= aim.after) return;
      this.#wanted = aim.kind;
      if (aim.kind === undefined) this.#isOver = true;
      else if (kind === aim.kind || begun > aim.after + PATIENCE) kill = this.#killLater(aim, kind);
    };
    const loops = this.#clients.map((client) => this.#use(client, onBegin));
    const ended = await Promise.allSettled(loops);
    const failed = ended.find((one) => one.status === 'rejected');
    if (failed !== undefined) {
      await kill?.catch(() => {});
      throw failed.reason;
    }
    await (kill ?? this.#killDaemon('kill the daemon with nothing under way'));
    const pending = [...this.#machines.values()].flatMap((machine) => machine.pending);
    if (pending.length > 0) this.report.inOperations++;
    else this.report.between++;
    await Promise.all(this.#clients.map((client) => client.close()));
    this.#clients = [];
    for (const [id, machine] of this.#machines) this.#cut(id, machine);
    await this.#lookAround();
  }

  async #killLater({ part }: Aim, kind: string): Promise<void> {
    const ms = part * this.#moment.usualMs(kind);
    await new Promise((resolve) => setTimeout(resolve, ms));
    const under = [...this.#machines].flatMap(([id, { pending }]) =>
      pending.map(({ operation }) => `${operation.kind} of ${id}`),
    );
    await this.#killDaemon(`kill the daemon in ${under.join(', ')}`);
  }

  async #killDaemon(step: string): Promise<void> {
    this.#isOver = true;
    this.#isKilled = true;
    this.report.kills++;
    if (this.#daemon?.hasExited === true) throw new Violation('the daemon has ended by itself');
    this.#history.add(step);
    await this.#daemon?.end('SIGKILL');
  }

  #cut(id: string, machine: PossibleStates): void {
    const { pending } = machine;
    if (pending.length > 0) this.#touched.add(id);
    if (pending.some(({ operation }) => isCreation(operation))) {
      // Whoever uses an id again forgets how the one before has ended.
      machine.change((state) => (state.life === 'Ended' ? [state, gone(state)] : [state]));
    }
    const cut = machine.cutOff();
    if (cut !== undefined) this.#cutOff.set(id, cut);
    machine.change((state) => {
      if (isThere(state)) return [this.#host.outlives ? state : ended(state, 'UnexpectedExit')];
      const { exit } = state;
      return exit === undefined ? [state] : [ended(state, exit), gone(state)];
    });
  }

  /** Looks at the machines themselves while there is no daemon, and kills one now and then. */
  async #lookAround(): Promise<void> {
    if (!this.#host.outlives) return;
    const seen = await this.#host.look();
    for (const [id, machine] of this.#machines) {
      if (this.#touched.has(id)) continue;
      const fits = seen.get(id);
      if (fits === undefined) {
        this.#observe(id, 'it has no QEMU', (state) => !isThere(state));
        continue;
      }
      const problem = machine.states.map(fits).find((text) => text !== undefined);
      this.#observe(id, `QEMU has ${problem}`, (state) => fits(state) === undefined);
    }
    if (this.#random.below(MACHINES_KILLED_IN) > 0) return;
    const there = [...this.#machines].filter(
      ([id, { states }]) => !this.#touched.has(id) && states.every(isThere),
    );
    if (there.length === 0) return;
    const [id, machine] = this.#random.pick(there);
    this.#history.add(`kill the machine ${id}`);
    await this.#host.killMachine(id);
    this.report.machinesKilled++;
    machine.change((state) => [ended(state, 'UnexpectedExit')]);
  }

  /** What one client does. */
  async #use(client: Client, onBegin: (operation: Operation) => void): Promise<void> {
    while (!this.#isOver) {
      const id = this.#random.pick(this.#options.ids);
      const machine = this.#machines.get(id)!;
      const operation = chooseOperation(this.#random, machine, {
        kinds: this.#host.kinds,
        holds: client.holds(id),
        wanted: this.#wanted,
      });
      if (operation === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      const isHeld = machine.states.some((state) => state.isHeld);
      if (!isHeld && this.#random.below(3) === 0) void client.letGo(id);
      onBegin(operation);
      try {
        await this.#call(client, id, operation);
      } catch (error) {
        this.#isOver = true;
        throw error;
      }
    }
  }

  /** One call, whose answer must be one that was possible. */
  async #call(client: Client, id: string, operation: Operation): Promise<void> {
    const machine = this.#machines.get(id)!;
    const isFree = !machine.states.some(isThere);
    if (isCreation(operation) && isFree) for (const other of this.#clients) void other.letGo(id);
    const call = machine.begin(operation, client.holds(id));
    const name = `client ${client.number}: ${Object.values(operation).map(text).join(' ')} of ${id}`;
    this.#history.add(name);
    const start = performance.now();
    const result = await client.run(id, operation);
    this.#history.add(`${name}: ${result}`);
    if (result === LOST) {
      if (this.#isKilled) return;
      throw new Violation(`${name} was not answered, and the daemon was not killed`, id);
    }
    this.report.operations++;
    if (result === 'ok') this.#moment.took(operation.kind, performance.now() - start);
    const possible = machine.end(call, result);
    if (possible !== undefined) {
      throw new Violation(
        `${name} came to ${result}, and should to ${possible.join(' or ')}: ${client.lastMessage}`,
        id,
      );
    }
    if (result === 'ok' && endsMachine(operation)) {
      for (const other of this.#clients) void other.letGo(id);
    }
  }

  /** Ends all machines and the daemon: nothing is left then. */
  async #endAll(): Promise<void> {
    const client = this.#clients[0]!;
    for (const id of (await client.list()).keys()) {
      await this.#call(client, id, { kind: 'terminate' });
    }
    for (const id of this.#options.ids) await client.hear(id);
    this.#noLeftovers([]);
    for (const other of this.#clients) await other.close();
    this.#clients = [];
    await this.#spare?.end('SIGKILL');
    await this.#daemon!.end('SIGTERM');
    this.#noLeftovers([]);
    using store = StateStore.open(this.#host.state);
    const { systems, operations, resources } = store;
    const rows = [...systems.all(), ...operations.all(), ...resources.all()];
    if (rows.length === 0) return;
    throw new Violation(`The state of a service without systems has ${JSON.stringify(rows)}`);
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
