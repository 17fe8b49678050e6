import type { Command } from 'commander';
import { type Check, examine } from './doctor-checks.ts';
import { colors, print } from './terminal.ts';

/** Adds `hdvkit doctor`. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('explain what this machine can do')
    .description(
      'Looks at Node, QEMU, the guest, KVM, folders, disk space and the compiler, and says what is missing, why, and how to mend it.',
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
    linux: !checks.some(({ neededBy, state }) => neededBy === 'linux' && state === 'missing'),
    windows: false,
  };
  if (options.json) {
    print(JSON.stringify({ checks, hosts }, null, 2));
    return;
  }
  const width = Math.max(...checks.map(({ title }) => title.length));
  for (const check of checks) showCheck(check, width);
  const c = colors();
  print();
  print(`  host simulated: ${hosts.simulated ? c.green('ready') : c.red('not ready')}`);
  print(`  host linux:     ${hosts.linux ? c.green('ready') : c.red('not ready')}`);
  print(`  host windows:   ${c.dim('not in this version')}`);
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
