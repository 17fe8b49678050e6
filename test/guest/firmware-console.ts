import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect } from 'vitest';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 80_000, interval: 50 };

/** What firmware says of its shell that does not start. */
const GIVEN_UP = /failed to start/;

/** Passes on what comes over a socket, and sends what it is told to. */
const READER = `
  const { connect } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  const socket = connect(workerData, () => parentPort.postMessage(''));
  socket.setEncoding('utf8').on('data', (text) => parentPort.postMessage(text));
  parentPort.on('message', (text) => socket.write(text));`;

/**
 * The console of a machine whose firmware writes on it. A thread of its own reads it, whatever this one is busy with: a Unix
 * socket takes less than 300 single bytes that nobody reads, and firmware that could not get rid of one for a second takes its
 * console for broken, with which its shell does not start ("Device Error") and what it prints has gaps.
 */
export class FirmwareConsole implements AsyncDisposable {
  /** All that was printed, or since {@link forget}. */
  printed = '';
  readonly #reader: Worker;

  private constructor(reader: Worker) {
    this.#reader = reader;
    reader.on('message', (text: string) => {
      this.printed += text;
    });
  }

  /** Connects to the socket. */
  static async connect(path: string): Promise<FirmwareConsole> {
    const reader = new Worker(READER, { eval: true, workerData: path });
    await once(reader, 'message');
    return new FirmwareConsole(reader);
  }

  write(text: string): void {
    this.#reader.postMessage(text);
  }

  forget(): void {
    this.printed = '';
  }

  /** Resolves when it has been printed. @throws with all that was, at once where the firmware gives up */
  async says(awaited: RegExp): Promise<void> {
    const either = new RegExp(`${awaited.source}|${GIVEN_UP.source}`);
    await expect.poll(() => this.printed, PATIENCE).toMatch(either);
    expect(this.printed).toMatch(awaited);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.terminate();
  }
}
