/**
 * What does a plain client wait for a register of a vfio-user server, and how many posted writes can it send?
 *
 * Without arguments the servers are the sample device edu on its worker, and the smallest server in C; `--socket PATH`
 * asks any other, and `--versus PATH` a second one in the same run. Every server is another process than the client, and
 * each is asked in every round, in turns, so that they see the same machine; ratios are of one round.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CleanUp } from '../src/cli/clean-up.ts';
import { remark } from '../src/cli/terminal.ts';
import { UsageError } from '../src/cli/usage-error.ts';
import { compilePeer } from './peers/compile-peer.ts';
import {
  count,
  eachRound,
  flag,
  median,
  option,
  percentile,
  print,
  ratio,
  Samples,
} from './report.ts';
import { serveEdu, servePeer } from './vfio-user/measured-server.ts';
import { PACKED, PlainClient, type Register } from './vfio-user/plain-client.ts';

const ROUNDS = count('--rounds', 15);
const READS = 2000;
const WRITES = 20_000;
const PACKED_MESSAGES = 2000;
const TIMEOUT_MS = count('--timeout', 5000);

/** Edu's register that keeps what is written, and has no effects; the peer's registers are all so. */
const LIVENESS = 0x04;

interface Subject {
  readonly name: string;
  readonly client: PlainClient;
}

function measure(
  { name, client }: Subject,
  writes: boolean,
  samples: Samples,
  counts: boolean,
): void {
  const add = (what: string, unit: string, value: number): void => {
    if (counts) samples.add(`${what}: ${name}`, unit, value);
  };
  const trips = (what: string, trip: () => void): void => {
    const times: number[] = [];
    for (let i = 0; i < READS; i++) {
      const started = process.hrtime.bigint();
      trip();
      times.push(Number(process.hrtime.bigint() - started) / 1000);
    }
    add(`${what}, p50`, 'µs', median(times));
    add(`${what}, p99`, 'µs', percentile(times, 0.99));
  };
  const rate = (what: string, messages: number, each: number, post: () => void): void => {
    const started = process.hrtime.bigint();
    for (let i = 0; i < messages; i++) post();
    client.read();
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    add(what, 'per second', (messages * each) / seconds);
  };
  trips('read', () => client.read());
  if (!writes) return;
  trips('acknowledged write', () => client.write());
  rate('posted writes', WRITES, 1, () => client.post());
  if (client.identity.packs) {
    rate(`posted writes, ${PACKED} in a message`, PACKED_MESSAGES, PACKED, () =>
      client.postPacked(),
    );
  }
}

interface Server {
  readonly name: string;
  readonly path: string;
  readonly source: Register;
  readonly target: Register;
}

/** A server of the command line, with the register that is given there. */
function givenServer(path: string): Server {
  const source = {
    region: Number(option('--region') ?? 0),
    offset: Number(option('--offset') ?? 0),
  };
  const target = { ...source, offset: Number(option('--write-offset') ?? source.offset) };
  return { name: path, path, source, target };
}

/** A server that is started here, with edu's registers. */
function ownServer(name: string, path: string): Server {
  return {
    name,
    path,
    source: { region: 0, offset: 0 },
    target: { region: 0, offset: LIVENESS },
  };
}

/** The servers to be asked: those of the command line; where one is not given, edu, and the peer in C. */
async function servers(
  cleanUp: CleanUp,
): Promise<{ readonly asked: readonly Server[]; readonly compiler?: string }> {
  const socket = option('--socket');
  const versus = option('--versus');
  if (socket !== undefined && versus !== undefined && resolve(socket) === resolve(versus)) {
    throw new UsageError(
      `Cannot compare ${socket} with itself: a server has one client at a time`,
      'start a second server on another path',
    );
  }
  const others = versus === undefined ? [] : [givenServer(versus)];
  if (socket !== undefined) return { asked: [givenServer(socket), ...others] };
  const folder = mkdtempSync(join(tmpdir(), 'hdvkit-bench-'));
  cleanUp.add(() => rmSync(folder, { recursive: true, force: true }));
  const edu = ownServer('hdvkit', join(folder, 'edu.sock'));
  await serveEdu(edu.path, cleanUp);
  if (versus !== undefined) return { asked: [edu, ...others] };
  try {
    const { program, compiler } = await compilePeer('vfio-user-peer.c', folder);
    const peer = ownServer('C', join(folder, 'peer.sock'));
    await servePeer(program, peer.path, cleanUp);
    return { asked: [edu, peer], compiler };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    remark(`Without the server in C: ${error.message}; ${error.remedy}`);
    return { asked: [edu] };
  }
}

async function main(): Promise<void> {
  if (process.platform !== 'linux') {
    throw new UsageError(
      `Cannot measure vfio-user on ${process.platform}: it passes descriptors over Unix sockets of Linux`,
      'measure on Linux',
    );
  }
  await using cleanUp = new CleanUp();
  const { asked, compiler } = await servers(cleanUp);
  const writes = !flag('--read-only');
  const subjects: Subject[] = [];
  const about: Record<string, string> = {};
  for (const { name, path, source, target } of asked) {
    const client = cleanUp.use(PlainClient.connect(path, TIMEOUT_MS));
    about[name] = client.identity.device;
    remark(`${name}: ${client.identity.device}`);
    client.prepare(source, writes ? target : undefined);
    subjects.push({ name, client });
  }
  const samples = new Samples();
  await eachRound(
    'measure',
    ROUNDS,
    (round, counts) => {
      // Who comes first changes, as the second one finds a warmer machine.
      const order = round % 2 === 0 ? subjects : [...subjects].reverse();
      for (const subject of order) measure(subject, writes, samples, counts);
    },
    { signal: cleanUp.signal },
  );
  const [first, second] = subjects.map(({ name }) => name);
  const compare = (what: string) =>
    ratio(
      `${what}: ${first} to ${second}`,
      samples.of(`${what}: ${first}`),
      samples.of(`${what}: ${second}`),
    );
  print({
    title: 'How long does a plain client wait for a register of a vfio-user server?',
    measurements: [
      ...sorted(samples),
      ...(second === undefined
        ? []
        : [
            ...compare('read, p50'),
            ...compare('acknowledged write, p50'),
            ...compare('posted writes'),
            ...compare(`posted writes, ${PACKED} in a message`),
          ]),
    ],
    versions: compiler === undefined ? undefined : { compiler },
    subjects: about,
  });
}

/** The same question of both servers in neighbouring lines. */
function sorted(samples: Samples) {
  const all = samples.measurements;
  const questions = [...new Set(all.map(({ name }) => name.slice(0, name.indexOf(': '))))];
  return questions.flatMap((question) =>
    all.filter(({ name }) => name.startsWith(`${question}: `)),
  );
}

await main();
