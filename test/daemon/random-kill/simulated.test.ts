import { expect, test } from 'vitest';
import { idsOf, RandomKill } from './driver.ts';
import { SimulatedMachines } from './simulated-machines.ts';

const KILLS = process.env.HDVKIT_LONG === '1' ? 200 : 8;
const SEED = Number(process.env.HDVKIT_SEED ?? Date.now() % 2 ** 31);
const IDS = idsOf(SEED, 4);

test('simulated machines end with a daemon that is killed, and each end is told once, with that reason', async () => {
  const host = new SimulatedMachines();
  const run = new RandomKill({ seed: SEED, kills: KILLS, ids: IDS, host });
  try {
    const report = await run.run();
    expect(report.kills).toBe(KILLS);
    expect(report.inOperations).toBeGreaterThan(0);
  } finally {
    await run.close();
  }
}, 3_600_000);
