import { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import { Rig } from '../compute/recording-engine.ts';
import { describeSystemFunctions } from '../compute/system-functions.ts';
import { InProcessDaemon } from './in-process.ts';

describeSystemFunctions(() => {
  const behind = new Rig();
  const { engine, directory } = behind;
  const under = new InProcessDaemon({}, { engines: [engine], directory });
  // The same rig, but for the functions that it calls.
  const core = new ComputeFunctions(under.remote());
  const rig = Object.create(behind, { core: { value: core } }) as Rig;
  return { rig, close: () => under.close() };
});
