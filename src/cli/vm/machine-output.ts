import { StringDecoder } from 'node:string_decoder';
import { formatHresult, hresultName } from '../../hcs/hresult.ts';
import type { CrashReport, SystemExitStatus } from '../../hcs/schema/documents.ts';
import type { SystemEvent } from '../../hcs/system-event.ts';
import { printable } from '../printable.ts';
import { errorColors, print, remark } from '../terminal.ts';

/** How many of the last lines of a crash report are shown. */
const CRASH_LINES = 20;

/** How long a line of the console may be without an end before it is said: prompts have none. */
const UNFINISHED_LINE_MS = 100;
const LONGEST_LINE = 64 * 1024;

/** What a running machine says to whoever ran it. */
export interface MachineOutput {
  /** The machine runs. @param how what a person wants to know: where its console is */
  started(id: string, how: string): void;
  event(event: SystemEvent): void;
  /** What the guest says on its console. */
  console(chunk: Buffer): void;
  /** Something that is not the machine's: what was done, or what could not be. */
  remark(text: string): void;
}

/** For people: the console on standard output, everything else on standard error, in whole lines. */
export class TextOutput implements MachineOutput {
  /** Writes a line so that it fits to what the console has shown. */
  say: (line: string) => void = remark;

  started(id: string, how: string): void {
    this.say(errorColors().dim(`Started ${id}: ${how}`));
  }

  event(event: SystemEvent): void {
    this.say(eventLines(event).join('\n'));
  }

  console(chunk: Buffer): void {
    process.stdout.write(chunk);
  }

  remark(text: string): void {
    this.say(text);
  }
}

/** For programs: one JSON object in each line of standard output. */
export class JsonOutput implements MachineOutput {
  /** A character may come in two chunks. */
  readonly #decoder = new StringDecoder('utf8');
  /** The line that the console is at: serial ports say few characters at a time. */
  #line = '';
  #timer: NodeJS.Timeout | undefined;

  started(id: string): void {
    this.#print({ type: 'started', id });
  }

  event(event: SystemEvent): void {
    this.#flush();
    this.#print(event);
  }

  console(chunk: Buffer): void {
    this.#line += this.#decoder.write(chunk);
    if (this.#line.endsWith('\n') || this.#line.length > LONGEST_LINE) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), UNFINISHED_LINE_MS);
  }

  remark(text: string): void {
    remark(text);
  }

  /** Says what is there of a line: the end of the lines before it, or a prompt. */
  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const text = this.#line;
    this.#line = '';
    if (text !== '') this.#print({ type: 'console', text });
  }

  #print(line: object): void {
    print(JSON.stringify({ time: new Date().toISOString(), ...line }));
  }
}

/** An event for people; a crash with the last lines of its report. */
export function eventLines(event: SystemEvent, c = errorColors()): readonly string[] {
  switch (event.type) {
    case 'exited':
      return [`${c.cyan('exited')}: ${exitText(event.status)}`];
    case 'crashInitiated':
      return [`${c.red('crashing')}: the guest has begun to report a crash`];
    case 'crashed':
      return [`${c.red('crashed')}: ${describeCrash(event.report)}`, ...crashLog(event.report)];
    case 'guestConnectionClosed':
      return [`${c.yellow('guest connection closed')}`];
    case 'rdpEnhancedModeChanged':
      return [`${c.dim('the enhanced mode of the desktop connection changed')}`];
    case 'serviceDisconnected':
      return [`${c.red('disconnected')}: the connection to the compute service is lost`];
    default:
      return [JSON.stringify(event)];
  }
}

/** How a machine ended, for people. */
export function exitText({ ExitType = 'Unknown', Status = 0, Detail }: SystemExitStatus): string {
  const name = hresultName(Status);
  const status =
    Status === 0 ? '' : `, ${name === undefined ? '' : `${name} `}${formatHresult(Status)}`;
  return `${ExitType}${status}${Detail === undefined ? '' : ` (${printable(Detail)})`}`;
}

function describeCrash({
  CrashParameters,
  WindowsCrashInfo,
  GuestCrashSaveInfo,
}: CrashReport): string {
  return [
    'the guest crashed',
    ...(CrashParameters === undefined
      ? []
      : [`parameters ${CrashParameters.map((value) => `0x${value.toString(16)}`).join(' ')}`]),
    ...(WindowsCrashInfo?.DumpFile === undefined ? [] : [`dump ${WindowsCrashInfo.DumpFile}`]),
    ...(GuestCrashSaveInfo?.SaveStateFile === undefined
      ? []
      : [`state ${GuestCrashSaveInfo.SaveStateFile}`]),
  ].join(', ');
}

function crashLog({ CrashLog = '' }: CrashReport): readonly string[] {
  if (CrashLog === '') return [];
  const lines = CrashLog.trimEnd()
    .split('\n')
    .map((line) => `  ${printable(line.trimEnd())}`);
  const hidden = lines.length - CRASH_LINES;
  if (hidden <= 0) return lines;
  // Of Linux, the line that says why stands before the registers and the stack.
  const why = lines.slice(0, hidden).findLast((line) => line.includes('Kernel panic'));
  return [
    ...(why === undefined ? [] : [why]),
    `  … ${hidden} lines before these are in the report`,
    ...lines.slice(-CRASH_LINES),
  ];
}
