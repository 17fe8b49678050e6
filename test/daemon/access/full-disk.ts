/**
 * Keeps an audit log on a small disk of its own until that is full, and makes room; prints as JSON what the log has. Runs in
 * a mount name space of its own.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuditLog } from '../../../src/daemon/access/audit-log.ts';

const disk = join(process.argv[2]!, 'disk');
mkdirSync(disk);
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', disk]);
writeFileSync(join(disk, 'ballast'), Buffer.alloc(400 * 1024));

const path = join(disk, 'audit.log');
const warnings: string[] = [];
const log = new AuditLog(path, { warn: (text) => warnings.push(text) });
const lines = (): string[] => readFileSync(path, 'utf8').split('\n').filter(Boolean);
for (let took = 0; took < 2000; took++) {
  log.record({
    peer: { pid: 1, uid: 2, gid: 3, program: '/usr/bin/hdvkit' },
    function: 'HcsGetComputeSystemProperties',
    system: { space: '', id: 'vm' },
    result: 0,
    took,
  });
  if (took % 7 === 0) await log.flush();
}
await log.flush();
const whileFull = lines();
rmSync(join(disk, 'ballast'));
log.record({
  peer: { pid: 1, uid: 2, gid: 3, program: undefined },
  function: 'HcsOpenComputeSystem',
  result: 0,
  took: 2000,
});
await log.flush();
process.stdout.write(JSON.stringify({ whileFull, after: lines(), warnings }));
