import { homedir } from 'node:os';
import { join } from 'node:path';
import type { CrashReportOptions } from './crash-reports.ts';

/**
 * Folder for what a host keeps when it is closed, by default: `HDVKIT_STATE`, else the folder of this package in that of
 * the user's state (XDG Base Directory Specification, `XDG_STATE_HOME`), or in `%LOCALAPPDATA%` on Windows.
 */
export function defaultStateFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const { HDVKIT_STATE, XDG_STATE_HOME, LOCALAPPDATA } = environment;
  if (isText(HDVKIT_STATE)) return HDVKIT_STATE;
  if (process.platform === 'win32' && isText(LOCALAPPDATA)) return join(LOCALAPPDATA, 'hdvkit');
  return join(
    isText(XDG_STATE_HOME) ? XDG_STATE_HOME : join(homedir(), '.local', 'state'),
    'hdvkit',
  );
}

function isText(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

/** What a host keeps when it is closed; everything has a default. */
export interface StateOptions {
  /** Folder for it; see {@link defaultStateFolder}. */
  readonly stateFolder?: string | undefined;
  /** How reports of crashes are kept, in the folder `reports` of the state folder: how many, and who is told. */
  readonly crashReports?: Omit<CrashReportOptions, 'folder'> | undefined;
}

/** How a service keeps crash reports; the hook program is that of `HDVKIT_CRASH_HOOK` where none is given. */
export function crashReportsOf(
  { stateFolder, crashReports }: StateOptions,
  environment: NodeJS.ProcessEnv = process.env,
): CrashReportOptions {
  const { HDVKIT_CRASH_HOOK } = environment;
  return {
    ...(isText(HDVKIT_CRASH_HOOK) ? { hook: HDVKIT_CRASH_HOOK } : {}),
    ...crashReports,
    folder: join(stateFolder ?? defaultStateFolder(environment), 'reports'),
  };
}
