/**
 * A program for tests: runs command lines of `hcs` one after the other, with one service of its own, so that systems go
 * from one command to the next. `commands-in-turn.ts MODULES HOST '[["create","m.json"],["list"]]'`; the modules are the
 * source or what was built of it, a URL that ends with a slash. What each command ends with follows its output as
 * `[exit CODE]`.
 */
type Connect = typeof import('../../../src/cli/hcs/connect.ts');
type Failure = typeof import('../../../src/cli/hcs/failure.ts');
type Program = typeof import('../../../src/cli/hcs/program.ts');
type OpenHost = typeof import('../../../src/cli/open-host.ts');

const [modules = '', host, lines = '[]'] = process.argv.slice(2);
const extension = modules.endsWith('/dist/src/') ? 'js' : 'ts';
const load = (name: string): Promise<unknown> => import(`${modules}cli/${name}.${extension}`);
const { connect, serviceOfBinding } = (await load('hcs/connect')) as Connect;
const { presentHcsFailure } = (await load('hcs/failure')) as Failure;
const { createHcsProgram } = (await load('hcs/program')) as Program;
const { openHost } = (await load('open-host')) as OpenHost;

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
