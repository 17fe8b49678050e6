/** `hcsd`, loaded and ready: it begins when a line comes on its standard input, so that none of its start is lost time. */
import { once } from 'node:events';
import '../../../src/cli/hcsd/program.ts';

if (process.argv.includes('simulated')) await import('../../../src/hosts/simulated/host.ts');
else await import('../../../src/hosts/linux/host.ts');
process.stdout.write('ready\n');
const begin = once(process.stdin, 'data').then(() => true);
const never = once(process.stdin, 'end').then(() => false);
if (!(await Promise.race([begin, never]))) process.exit();
process.stdin.destroy();
await import('../../../src/cli/hcsd/main.ts');
