import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { filesOf, needsGrants } from '../../src/cli/vm/grant-files.ts';
import type { EngineRequest, EngineSystem } from '../../src/compute/engine.ts';
import type { QemuEngine } from '../../src/engines/qemu/engine.ts';
import type { ComputeSystem } from '../../src/hcs/schema/documents.ts';

/** Makes a machine that may open the files of its document, where machines have accounts of their own. */
export async function createGranted(
  engine: QemuEngine,
  request: EngineRequest,
): Promise<EngineSystem> {
  const { id: systemId, runtimeId, document } = request;
  const files = filesOf(document as ComputeSystem).filter(
    (path) => isAbsolute(path) && existsSync(path),
  );
  for (const path of needsGrants('linux') ? files : []) {
    await engine.files.grant({ kind: 'vm', systemId, runtimeId }, path);
  }
  return await engine.create(request);
}
