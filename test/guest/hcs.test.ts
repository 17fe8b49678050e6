import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { LinuxGuest } from '../../src/engines/qemu/linux-guest.ts';
import { turnsOf } from '../cli/hcs/in-turn.ts';
import { ended, until, Workplace } from '../cli/run-cli.ts';

const LEAVE = '\u001d';
const SHELL = 'guest:';

/** Has the guest's shell heed the power button. */
const LISTEN =
  'for e in /dev/input/event*; do (dd if=$e of=/dev/null bs=24 count=1; poweroff -f) & done';

test('hcs drives a guest on a terminal: console, statistics, picture, save, restore, clone, crash, shutdown', async () => {
  using guest = await LinuxGuest.prepare({
    memory: 256,
    shell: true,
    modules: ['virtio_pci'],
    kernelArguments: 'unknown_nmi_panic',
  });
  using place = new Workplace();
  const { VirtualMachine, ShouldTerminateOnLastHandleClosed: _, ...document } = guest.document;
  const { LinuxKernelDirect } = VirtualMachine?.Chipset ?? {};
  const machine = {
    ...VirtualMachine,
    Chipset: {
      // As who writes a document has it: the service is in another folder.
      LinuxKernelDirect: {
        ...LinuxKernelDirect,
        KernelFilePath: relative(place.path, LinuxKernelDirect?.KernelFilePath as string),
        InitRdPath: relative(place.path, LinuxKernelDirect?.InitRdPath as string),
      },
    },
    Devices: { VideoMonitor: {} },
    Services: { Shutdown: {} },
  };
  place.write('web.json', JSON.stringify({ ...document, VirtualMachine: machine }));
  const run = `hdvkit-${process.pid}`;
  const lines = [
    ['create', 'web.json', '--id', `${run}-web`, '--start'],
    ['console', `${run}-w`],
    ['stats', `${run}-web`, '--interval', '0.1', '--count', '2'],
    ['screenshot', `${run}-web`, 'screen.png'],
    ['save', `${run}-web`, 'web.vmrs', '--kill'],
    ['restore', 'web.vmrs', '--id', `${run}-again`],
    ['console', `${run}-again`],
    ['save', `${run}-again`, '--template'],
    ['clone', `${run}-again`, `${run}-clone-1`],
    ['clone', `${run}-again`, `${run}-clone-2`],
    ['console', `${run}-clone-1`],
    ['kill', `${run}-again`],
    ['shutdown', `${run}-clone-1`, '--wait'],
    ['crash', `${run}-clone-2`],
    ['wait', `${run}-clone-2`],
    ['list'],
  ];
  const child = place.startOnTerminal(['linux', JSON.stringify(lines)], { program: 'hcsInTurn' });
  const done = ended(child);
  const type = async (keys: string, answer: string): Promise<void> => {
    const said = until(child.stdout, answer);
    child.stdin.write(keys);
    await said;
  };
  await until(child.stdout, 'Ctrl-] leaves it');
  // The prompt may be out before somebody listens: another line brings another one.
  await type('\r', SHELL);
  await type('echo it is $((40 + 2)) > /tmp/note; cat /tmp/note\r', 'it is 42');
  await type(LEAVE, `hcs: left ${run}-web, which goes on`);
  await until(child.stdout, `hcs: at the console of ${run}-again`);
  await type('cat /tmp/note\r', 'it is 42');
  // Its own words: the prompt of the command before may come late, and what is not read yet goes with the console.
  await type(`${LISTEN}; echo it lis''tens\r`, 'it listens');
  await type(LEAVE, `hcs: left ${run}-again`);
  await until(child.stdout, `hcs: at the console of ${run}-clone-1`);
  await type('cat /tmp/note\r', 'it is 42');
  await type(LEAVE, `hcs: left ${run}-clone-1`);
  const { stdout, code } = await done;
  expect(code).toBe(0);
  const turns = turnsOf(stdout);
  expect(turns.map((turn) => turn.code)).toEqual([
    ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ...[0, 4, 0],
  ]);
  const said = turns.map((turn) => turn.stdout);
  expect(said[2]).toMatch(/\d+\.\d %/);
  expect(readFileSync(join(place.path, 'screen.png')).subarray(1, 4).toString()).toBe('PNG');
  expect(said[4]).toContain('to web.vmrs; it is ended');
  expect(said[12]).toContain(`Shut down (GracefulExit): ${run}-clone-1`);
  expect(said[14]).toContain('UnexpectedExit');
  expect(said[15]).toContain('There are no compute systems');
});
