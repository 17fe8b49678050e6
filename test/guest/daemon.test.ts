import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { describeHost } from '../host/conformance.ts';
import { openLinuxHost } from './linux-test-host.ts';

const folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
const socket = join(folder, 'hcsd.sock');

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A daemon of its own process runs QEMU; devices are in this one. It ends soon after its last client. */
describeHost('linux behind hcsd', () =>
  openLinuxHost({}, { service: { socket, startOnDemand: { host: 'linux', idleExitMs: 500 } } }),
);
