import type { DocumentPath } from './document-text.ts';

/** One step of a JSON path: `.name`, `[0]` or `["a-b"]`, or with single quotes. */
const STEP = /\.([A-Za-z_]\w*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|\['([^']*)'\]/y;

/**
 * Takes a JSON path as messages write it (`$.VirtualMachine.Devices.Scsi["0"].Attachments[1]`) apart. What is no path
 * any more ends it.
 */
export function readPath(text: string): DocumentPath {
  const path: (string | number)[] = [];
  STEP.lastIndex = text.startsWith('$') ? 1 : 0;
  for (let step = STEP.exec(text); step !== null; step = STEP.exec(text)) {
    const [, name, index, quoted, single] = step;
    if (index !== undefined) path.push(Number(index));
    else path.push(name ?? single ?? (JSON.parse(quoted as string) as string));
  }
  return path;
}

/** Writes keys and indexes as a JSON path. */
export function writePath(path: DocumentPath): string {
  return `$${path.map(step).join('')}`;
}

function step(key: string | number): string {
  // "00" is a key, and no index.
  if (typeof key === 'number' || /^(?:0|[1-9]\d{0,14})$/.test(key)) return `[${key}]`;
  return /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
