import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PROGRAM = 'test/daemon/random-kill/standby-daemon';

/** The daemon as JavaScript, made of its source now: it is started often, and takes a third of the time so. */
export class BuiltDaemon {
  /** What Node runs. */
  readonly program: string;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.program = join(folder, 'dist', `${PROGRAM}.js`);
  }

  static async build(): Promise<BuiltDaemon> {
    const folder = mkdtempSync(join(tmpdir(), 'hcsd-build-'));
    // Where a build is: below the manifest, and beside the packages.
    copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const project = join(folder, 'tsconfig.json');
    const options = {
      ...{ noEmit: false, noCheck: true, rootDir: ROOT, outDir: join(folder, 'dist') },
      ...{ types: [], sourceMap: true, inlineSources: true },
    };
    const files = [join(ROOT, `${PROGRAM}.ts`)];
    const text = { extends: join(ROOT, 'tsconfig.json'), compilerOptions: options, files };
    writeFileSync(project, JSON.stringify({ ...text, include: [] }));
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    await promisify(execFile)(process.execPath, [tsc, '-p', project]);
    return new BuiltDaemon(folder);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
