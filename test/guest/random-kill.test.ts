import { expect, test } from 'vitest';
import { idsOf, RandomKill } from '../daemon/random-kill/driver.ts';
import { LinuxMachines } from '../daemon/random-kill/linux-machines.ts';

const LONG = process.env.HDVKIT_LONG === '1';
const KILLS = Number(process.env.HDVKIT_KILLS ?? (LONG ? 1000 : 20));
const SEED = Number(process.env.HDVKIT_SEED ?? Date.now() % 2 ** 31);
const IDS = idsOf(SEED, 5);

test('a daemon that is killed at any moment loses no machine, leaves nothing, and forgets nothing that it answered', async () => {
  const host = new LinuxMachines(IDS);
  const log = (line: string): void => console.log(line);
  const run = new RandomKill({ seed: SEED, kills: KILLS, ids: IDS, host, log });
  try {
    const report = await run.run();
    console.log(`HDVKIT_SEED=${SEED}\n${report}`);
    expect(report.kills).toBe(KILLS);
    expect(report.inOperations).toBeGreaterThan(KILLS / 4);
  } finally {
    await run.close();
  }
}, 7_200_000);
