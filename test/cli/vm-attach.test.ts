import { expect, test } from 'vitest';
import {
  ENDLESS_MODULE,
  GOOD,
  NO_DEVICE,
  PENDING_MODULE,
  THROWS,
  TWO_DEVICES,
  WRONG_SLOT,
} from './devices.ts';
import { ended, until, Workplace } from './run-cli.ts';

const MACHINE = '{ "VirtualMachine": { "ComputeTopology": { "Memory": { "SizeInMB": 64 } } } }';

const never = [
  ['never returns', ENDLESS_MODULE, 'did not finish within 2.5 s'],
  ['waits for ever', PENDING_MODULE, 'did not finish within 2.5 s'],
] as const;

const wrong = [
  ['ends its process', `${GOOD}process.exit(0);\n`, 'process.exit'],
  ['throws', THROWS, 'no luck today'],
  ['has no device', NO_DEVICE, 'it exports no device class'],
  ['has several', TWO_DEVICES, 'name the class by --export'],
  ['has one that does not fit', WRONG_SLOT, 'takes slots 0 and 1'],
] as const;

test.each([
  ['that does not finish loading', { HDVKIT_LOAD_LIMIT: '2.5' }, never],
  ['that cannot be used', {}, wrong],
] as const)(
  'a file %s ends its attach at the prompt, and not the machine',
  async (_, env, files) => {
    using place = new Workplace();
    place.write('machine.json', MACHINE);
    const args = ['vm', 'run', 'machine.json', '--host', 'simulated'];
    const child = place.startOnTerminal(args, { env });
    const done = ended(child);
    const type = async (line: string, answer: string): Promise<void> => {
      const said = until(child.stdout, answer);
      child.stdin.write(`${line}\r`);
      await said;
    };
    await until(child.stdout, 'hdvkit> ');
    for (const [title, text, reason] of files) {
      const name = `${title.replaceAll(' ', '-')}.ts`;
      place.write(name, text);
      await type(`attach ${name}`, reason);
      await type('devices', 'No device is attached');
      await type('properties', '"State": "Running"');
    }
    await type('terminate', 'exited');
    expect((await done).code).toBe(3);
    expect(place.leftovers).toEqual([]);
  },
);
