import { renameSync, rmSync, writeFileSync } from 'node:fs';
import type { ComputeSystem as Document } from '../../hcs/schema/documents.ts';
import { UsageError } from '../usage-error.ts';
import { documentPathOf } from './restore.ts';

/**
 * The document beside a saved state, written before the state is: who has no place for it saves nothing. It takes its name, and
 * the place of an older one, when the state is whole.
 */
export class SavedDocument implements Disposable {
  readonly #path: string;
  readonly #part: string;

  /**
   * @param file that of the state
   * @throws UsageError where it cannot be written
   */
  constructor(file: string, document: Document) {
    this.#path = documentPathOf(file);
    this.#part = `${this.#path}.part`;
    this.#orRefuse(() => writeFileSync(this.#part, `${JSON.stringify(document, null, 2)}\n`));
  }

  /** Gives it its name. @throws UsageError where something else has it */
  keep(): void {
    this.#orRefuse(() => renameSync(this.#part, this.#path));
  }

  /** Removes it, unless it was kept. */
  [Symbol.dispose](): void {
    rmSync(this.#part, { force: true });
  }

  #orRefuse(work: () => void): void {
    try {
      work();
    } catch (error) {
      this[Symbol.dispose]();
      throw new UsageError(
        `Cannot write ${this.#path}, the document that hcs restore needs: ${(error as Error).message}`,
        'save to a place that has room for the state and its document',
        { cause: error },
      );
    }
  }
}
