import type { Command } from 'commander';
import type { Check } from './check.ts';
import { examine } from './doctor-checks.ts';
import { colors, print } from './terminal.ts';

/** Adds `hdvkit doctor`. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('explain what this machine can do')
    .description(
      'Says what is missing on this machine, why, and how to mend it. Linux: Node, QEMU, the guest, KVM, folders, disk space and the compiler. Windows: Hyper-V, the compute service, the rights of this user, and the three libraries with their versions and functions.',
    )
    .option('--json', 'print the findings as JSON')
    .addHelpText('after', '\nExamples:\n  $ hdvkit doctor\n  $ hdvkit doctor --json | jq .hosts')
    .action(runDoctor);
}

async function runDoctor(options: { readonly json?: boolean }): Promise<void> {
  const checks = await examine();
  const failed = new Set(checks.filter(({ state }) => state === 'missing').map(({ name }) => name));
  const hosts = {
    simulated: !failed.has('node'),
    linux: isReady('linux', checks),
    windows: isReady('windows', checks),
  };
  if (options.json) {
    print(JSON.stringify({ checks, hosts }, null, 2));
    return;
  }
  const width = Math.max(...checks.map(({ title }) => title.length));
  for (const check of checks) showCheck(check, width);
  const c = colors();
  print();
  for (const [host, ready] of Object.entries(hosts)) {
    const isHere = host === 'simulated' || host === PLATFORMS[process.platform];
    const word = ready
      ? c.green('ready')
      : isHere
        ? c.red('not ready')
        : c.dim('not on this system');
    print(`  host ${`${host}:`.padEnd(10)} ${word}`);
  }
}

/** The host that a platform has besides the simulated one. */
const PLATFORMS: Readonly<Record<string, string>> = { linux: 'linux', win32: 'windows' };

function isReady(host: 'linux' | 'windows', checks: readonly Check[]): boolean {
  const ok = !checks.some(({ neededBy, state }) => neededBy === host && state === 'missing');
  return ok && PLATFORMS[process.platform] === host;
}

function showCheck({ title, state, detail, remedy }: Check, width: number): void {
  const c = colors();
  const mark = { ok: c.green('ok     '), note: c.yellow('note   '), missing: c.red('missing') }[
    state
  ];
  print(`  ${mark}  ${title.padEnd(width)}  ${detail}`);
  if (remedy !== undefined)
    print(`  ${' '.repeat(7)}  ${' '.repeat(width)}  ${c.dim('remedy:')} ${remedy}`);
}
