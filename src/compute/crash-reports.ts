import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CrashReport } from '../hcs/schema/documents.ts';
import { failure } from './failure.ts';
import { fileFailure } from './file-failure.ts';

/** Where reports of crashes go, and who is told. */
export interface CrashReportOptions {
  /** Folder of the reports; made for its owner alone when the first one comes. */
  readonly folder: string;
  /** Reports that are kept, the newest ones; 32. */
  readonly limit?: number | undefined;
  /** A program that is run after each report, with the report's folder as its argument. */
  readonly hook?: string | undefined;
  /** Milliseconds that the program may take; 60,000. */
  readonly hookLimitMs?: number | undefined;
}

const DEFAULT_LIMIT = 32;
const DEFAULT_HOOK_LIMIT_MS = 60_000;

/**
 * What stands for Windows Error Reporting: a folder for each report, whole or not there.
 *
 * | File          | Content                                                                        |
 * | ------------- | ------------------------------------------------------------------------------ |
 * | `report.json` | the CrashReport document, and when it was submitted                            |
 * | `crash.log`   | CrashLog, what the guest wrote last; where the document has one                |
 * | `dump`        | the file that WindowsCrashInfo.DumpFile names, linked or copied; where it does |
 * | `hook.log`    | what the hook program wrote                                                    |
 */
export class CrashReports {
  readonly #options: CrashReportOptions;
  #count = 0;

  constructor(options: CrashReportOptions) {
    this.#options = options;
  }

  /**
   * Writes a report, removes the oldest beyond the limit, and runs the hook program.
   * @throws HcsError for a dump that is missing or a folder that cannot be written, with no report left; E_FAIL or
   * ERROR_TIMEOUT of a hook program that fails, with the report kept
   */
  async submit(name: string, report: CrashReport): Promise<string> {
    const { folder } = this.#options;
    // Names sort by time, those of one millisecond by number.
    const number = String(this.#count++).padStart(6, '0');
    const id = `${new Date().toISOString().replaceAll(/[:.]/g, '-')}-${number}-${randomUUID()}`;
    const part = join(folder, `.${id}`);
    const place = join(folder, id);
    const dump = report.WindowsCrashInfo?.DumpFile;
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await mkdir(part, { mode: 0o700 });
    } catch (error) {
      throw fileFailure(name, folder, error);
    }
    try {
      if (dump !== undefined && dump !== '') await keepDump(name, dump, join(part, 'dump'));
      const document = { SubmittedAt: new Date().toISOString(), CrashReport: report };
      const text = `${JSON.stringify(document, undefined, 2)}\n`;
      await writeFile(join(part, 'report.json'), text, { mode: 0o600 });
      if (report.CrashLog !== undefined) {
        await writeFile(join(part, 'crash.log'), report.CrashLog, { mode: 0o600 });
      }
      await rename(part, place);
    } catch (error) {
      await rm(part, { recursive: true, force: true });
      throw fileFailure(name, folder, error);
    }
    await this.#removeOldest();
    await this.#runHook(name, place);
    return place;
  }

  async #removeOldest(): Promise<void> {
    const { folder, limit = DEFAULT_LIMIT } = this.#options;
    // Names begin with the time, so that the oldest sort first. What is being written begins with a dot.
    const names = (await readdir(folder)).filter((entry) => /^\d{4}-/.test(entry)).sort();
    for (const entry of names.slice(0, Math.max(0, names.length - limit))) {
      await rm(join(folder, entry), { recursive: true, force: true });
    }
  }

  async #runHook(name: string, place: string): Promise<void> {
    const { hook, hookLimitMs = DEFAULT_HOOK_LIMIT_MS } = this.#options;
    if (hook === undefined) return;
    const log = await open(join(place, 'hook.log'), 'w', 0o600);
    try {
      const ended = await new Promise<string | undefined>((resolve) => {
        const child = spawn(hook, [place], {
          stdio: ['ignore', log.fd, log.fd],
          timeout: hookLimitMs,
          killSignal: 'SIGKILL',
        });
        child.on('error', (error) => resolve(error.message));
        child.on('exit', (code, signal) => {
          if (code === 0) resolve(undefined);
          else
            resolve(signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`);
        });
      });
      if (ended === undefined) return;
      const code = ended.endsWith('SIGKILL') ? 'ERROR_TIMEOUT' : 'E_FAIL';
      throw failure(
        name,
        code,
        `the report is in ${place}, but the program ${hook} failed: ${ended}; see hook.log there`,
      );
    } finally {
      await log.close();
    }
  }
}

/** A link costs nothing and lasts when the original goes; another file system gets a copy. */
async function keepDump(name: string, dump: string, place: string): Promise<void> {
  try {
    await link(dump, place);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EACCES'].includes(code)) {
      throw fileFailure(name, dump, error);
    }
    try {
      await copyFile(dump, place, constants.COPYFILE_FICLONE);
    } catch (copyError) {
      throw fileFailure(name, dump, copyError);
    }
  }
}
