import { errorColors } from './terminal.ts';

/** One state of a step, as provisioning reports it. */
export interface Progress {
  readonly step: string;
  readonly done: number;
  /** 0 when unknown. */
  readonly total: number;
}

const BAR_WIDTH = 24;
const LINE_EVERY = 0.25;

/** Shows progress on standard error: one bar that is redrawn on a terminal, a few lines elsewhere. */
export class ProgressDisplay {
  readonly #stream: NodeJS.WriteStream;
  #step = '';
  #quarter = -1;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  /** Takes one state. Bound, so that it can be handed over as a callback. */
  readonly update = (progress: Progress): void => {
    if (this.#stream.isTTY) this.#draw(progress);
    else this.#log(progress);
  };

  /** Ends the bar's line, so that other output starts on a line of its own. */
  finish(): void {
    if (this.#stream.isTTY && this.#step !== '') this.#stream.write('\n');
    this.#step = '';
    this.#quarter = -1;
  }

  #draw({ step, done, total }: Progress): void {
    if (this.#step !== '' && step !== this.#step) this.finish();
    this.#step = step;
    const share = fraction(done, total);
    const filled = Math.round(share * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    const percent = total > 0 ? `${Math.floor(share * 100)} %` : '';
    this.#stream.write(`\r\u001b[2K${errorColors().cyan(bar)} ${step} ${percent}`);
  }

  #log({ step, done, total }: Progress): void {
    const share = fraction(done, total);
    const quarter = Math.floor(share / LINE_EVERY);
    if (step === this.#step && quarter === this.#quarter) return;
    this.#step = step;
    this.#quarter = quarter;
    this.#stream.write(total > 0 ? `${step}: ${Math.floor(share * 100)} %\n` : `${step}\n`);
  }
}

function fraction(done: number, total: number): number {
  return total > 0 ? Math.min(1, done / total) : 0;
}
