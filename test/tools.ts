/** The system tools that some tests compare against or compile with, and how to get them. */
import { spawnSync } from 'node:child_process';

/** Command → Debian packages that have it. */
const TOOLS: Readonly<Record<string, readonly string[]>> = {
  lspci: ['pciutils'],
  gcc: ['gcc'],
  'x86_64-w64-mingw32-gcc': ['gcc-mingw-w64-x86-64-win32'],
  wine: ['wine64', 'wine'],
  zsh: ['zsh'],
  fish: ['fish'],
};

const present = (command: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' }).status === 0;

/** Files that a static C program needs besides the compiler. */
const libcDevelopment = (): boolean =>
  spawnSync('sh', ['-c', 'printf "int main(){return 0;}" | gcc -static -xc - -o /dev/null'], {
    stdio: 'ignore',
  }).status === 0;

/**
 * Installs what is missing when CI=true (as root, by apt-get); elsewhere only says what is missing and which tests
 * will skip for it. @returns false when CI lacks a tool after all
 */
export async function ensureTools(): Promise<boolean> {
  const packages = Object.entries(TOOLS)
    .filter(([command]) => !present(command))
    .flatMap(([, names]) => names);
  if (present('gcc') && !libcDevelopment()) packages.push('libc6-dev');
  if (packages.length === 0) return true;
  if (process.env.CI !== 'true') {
    console.log(
      `Not installed: ${packages.join(', ')}. Tests that need them skip; to run them: apt-get install ${packages.join(' ')}`,
    );
    return true;
  }
  // A mirror in the middle of a sync fails one index; the install decides.
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit' });
  const install = spawnSync(
    'apt-get',
    ['install', '-y', '-qq', '--no-install-recommends', ...packages],
    { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } },
  );
  return install.status === 0;
}
