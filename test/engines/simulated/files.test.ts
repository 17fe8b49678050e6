import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DeviceDirectory } from '../../../src/compute/device-directory.ts';
import { ComputeService } from '../../../src/compute/service.ts';
import { SimulatedEngine } from '../../../src/engines/simulated/engine.ts';
import { codeOf } from '../../compute/recording-engine.ts';
import { vmFileTests } from '../../compute/vm-files.ts';

const core = (): ComputeService =>
  new ComputeService({ engines: [new SimulatedEngine()], directory: new DeviceDirectory() });

vmFileTests(core);

test('asks nothing of the processor for a simulated machine, and takes no guest state for one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hdvkit-simulated-files-'));
  const runtime = join(folder, 'x.vmrs');
  const guest = join(folder, 'x.vmgs');
  await core().HcsCreateEmptyRuntimeStateFile(runtime);
  await core().HcsCreateEmptyGuestStateFile(guest);
  const text = await core().HcsGetProcessorCompatibilityFromSavedState(runtime);
  expect(JSON.parse(text)).toEqual({ ProcessorFeatures: [], XsaveProcessorFeatures: [] });
  expect(await codeOf(() => core().HcsGetProcessorCompatibilityFromSavedState(guest))).toBe(
    'ERROR_INVALID_DATA',
  );
  rmSync(folder, { recursive: true });
});
