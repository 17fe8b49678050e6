import { ProvisionError } from './provision-error.ts';
import { guestProgram } from './provision-guest.ts';
import { runTool } from './run-tool.ts';

/** Files that a program of the guest needs at run time, loader included, as paths below the root. */
export async function sharedLibraries(root: string, program: string): Promise<string[]> {
  const [loader, args] = guestProgram(root, program);
  const { code, stdout, stderr } = await runTool(loader, ['--list', ...args]);
  if (code !== 0) {
    throw new ProvisionError(
      `Cannot bring ${program} into the guest: ${stderr.trim()}`,
      'run "hdvkit provision --force"',
    );
  }
  const files = [...stdout.matchAll(/=> (\/\S+)/g)].map(([, file]) => file!);
  const inRoot = files
    .filter((file) => file.startsWith(`${root}/`))
    .map((file) => file.slice(root.length + 1));
  return [...new Set([...inRoot, loader.slice(root.length + 1)])];
}
