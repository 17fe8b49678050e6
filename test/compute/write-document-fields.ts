import { readFileSync, writeFileSync } from 'node:fs';
import { withFieldTable } from './document-fields.ts';

/** Rewrites the table of fields: `node --import tsx --conditions=hdvkit-source test/compute/write-document-fields.ts`. */
const page = new URL('../../docs/documents.md', import.meta.url);
writeFileSync(page, withFieldTable(readFileSync(page, 'utf8')));
