import inspector from 'node:inspector';
import type { CleanUp } from './clean-up.ts';
import { remark } from './terminal.ts';

/** Opens Node's inspector, which also reaches the workers that are started later, unless `node --inspect` has. */
export function openInspector(cleanUp: CleanUp): void {
  if (inspector.url() === undefined) {
    inspector.open(9229, '127.0.0.1');
    cleanUp.add(() => inspector.close());
  }
  remark(
    `Inspector at ${inspector.url() ?? 'an unknown address'}; the device is on a worker of its own.`,
  );
}
