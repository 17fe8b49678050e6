import type { Properties } from '../../hcs/schema/documents.ts';
import type { Colors } from '../terminal.ts';

/** Colours the text of a state by what a person has to know: it runs, it stands, it is gone. */
export function stateColor(text: string, { State }: Properties, c: Colors): string {
  if (State === 'Running') return c.green(text);
  if (State === 'Paused' || State === 'Created') return c.yellow(text);
  return c.dim(text);
}
