import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { UsageError } from '../usage-error.ts';
import { DocumentText, LARGEST_DOCUMENT } from './document-text.ts';

/** How standard input is written in place of a file. */
export const STANDARD_INPUT = '-';

/**
 * Reads a JSON document, comments allowed.
 * @param path a file, or `-` for standard input
 * @throws UsageError when it cannot be read, or is too large or nested too deeply to be a document
 */
export async function readDocument(path: string): Promise<DocumentText> {
  const name = path === STANDARD_INPUT ? 'standard input' : path;
  let text: string;
  try {
    text = await readText(path === STANDARD_INPUT ? process.stdin : createReadStream(path), name);
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    const { message } = cause as Error;
    throw new UsageError(`Cannot read the document ${name}: ${message}`, 'check the path', {
      cause,
    });
  }
  return new DocumentText(text, name);
}

/** Takes no more into memory than a document may have; a character has at most four bytes. */
async function readText(stream: Readable, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > 4 * LARGEST_DOCUMENT) {
      stream.destroy();
      throw new UsageError(
        `Cannot read ${name} as a document: it has more than ${4 * LARGEST_DOCUMENT} bytes`,
        'give a JSON document, not what it describes',
      );
    }
  }
  const bytes = Buffer.concat(chunks);
  // PowerShell before 6 redirects output as UTF-16.
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return bytes.toString('utf16le');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new UsageError(`Cannot read ${name} as a document: it is not UTF-8`, 'save it as UTF-8', {
      cause,
    });
  }
}
