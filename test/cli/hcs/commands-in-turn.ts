/**
 * A program for tests: runs command lines of `hcs` one after the other, with one service of its own, so that systems go
 * from one command to the next. `commands-in-turn.ts HOST '[["create","m.json"],["list"]]'`. What each command ends with
 * follows its output as `[exit CODE]`.
 */
import { connect, serviceOfBinding } from '../../../src/cli/hcs/connect.ts';
import { presentHcsFailure } from '../../../src/cli/hcs/failure.ts';
import { createHcsProgram } from '../../../src/cli/hcs/program.ts';
import { openHost } from '../../../src/cli/open-host.ts';

const [host, lines = '[]'] = process.argv.slice(2);
const binding = openHost(host);
const service = { ...serviceOfBinding(binding, true), close: () => Promise.resolve() };
const context = {
  // A service in the command itself is what users get.
  connect: (options: Parameters<typeof connect>[0]) =>
    options.embedded ? connect(options) : Promise.resolve(service),
};

for (const args of JSON.parse(lines) as string[][]) {
  process.stdout.write(`$ hcs ${args.join(' ')}\n`);
  process.exitCode = 0;
  try {
    await createHcsProgram(context).parseAsync(args, { from: 'user' });
  } catch (error) {
    const { text, code } = await presentHcsFailure(error, args.includes('--json'));
    process.stderr.write(text);
    process.exitCode = code;
  }
  process.stdout.write(`[exit ${process.exitCode}]\n`);
}
process.exitCode = 0;
await binding.close();
