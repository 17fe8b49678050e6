import { writeFileSync } from 'node:fs';
import { documentTypes } from './document-types.ts';

/** Rewrites the document types: `node --import tsx test/hcs/write-document-types.ts`. */
writeFileSync(new URL('../../src/hcs/schema/documents.ts', import.meta.url), documentTypes());
