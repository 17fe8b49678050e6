import picocolors from 'picocolors';

/** The colour functions of picocolors. */
export type Colors = ReturnType<typeof picocolors.createColors>;

/** Colours go to terminals only, and not where NO_COLOR or TERM=dumb asks for none (no-color.org). */
function wanted(stream: NodeJS.WriteStream): boolean {
  return Boolean(stream.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

/** Colours for standard output. */
export function colors(): Colors {
  return picocolors.createColors(wanted(process.stdout));
}

/** Colours for standard error. */
export function errorColors(): Colors {
  return picocolors.createColors(wanted(process.stderr));
}

/** Writes one line to standard output. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Writes one line to standard error: progress and remarks, which are not the command's output. */
export function remark(line: string): void {
  process.stderr.write(`${line}\n`);
}
