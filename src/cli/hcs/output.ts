import { print } from '../terminal.ts';

/** What every command that says something takes. */
export interface OutputOptions {
  readonly json?: boolean;
}

/** Says what was done: a sentence for people, or one document in a line for programs. */
export function tell({ json = false }: OutputOptions, text: string, document: object): void {
  print(json ? JSON.stringify(document) : text);
}
