import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import { describeEventSample, SAMPLE_DOCUMENT } from './event-sample.ts';

describeEventSample('simulated', async () => createSimulatedHost());

test('docs/events.md has the same document', () => {
  const text = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8');
  const document = /const configuration = `([^`]*)`/.exec(text)?.[1] ?? '';
  expect(JSON.parse(document)).toEqual(JSON.parse(SAMPLE_DOCUMENT));
});
