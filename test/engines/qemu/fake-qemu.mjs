#!/usr/bin/env node
// A stand-in for QEMU: answers its questions and speaks QMP, without a machine. "-fake WORD" says how it is to behave.
import { createServer } from 'node:net';

const args = process.argv.slice(2);
const after = (option) => args.flatMap((arg, i) => (arg === option ? [args[i + 1]] : []));
if (args[0] === '--version') {
  console.log('QEMU emulator version 11.1.3');
  process.exit(0);
}
if (args[0] === '-device' && args[1] === 'help') {
  console.log('name "vfio-user-pci", bus PCI');
  process.exit(0);
}
if (args[0] === '--help') {
  console.log('-sandbox on[,obsolete=allow|deny]');
  process.exit(0);
}
const [mode = ''] = after('-fake');
if (mode === 'refuse-start') {
  console.error('qemu-system-x86_64: -kernel: it is all wrong');
  process.exit(1);
}

const chardevs = after('-chardev').filter((text) => text.startsWith('socket,'));
for (const text of chardevs) {
  const [, path] = /path=([^,]*(?:,,[^,]*)*)/.exec(text) ?? [];
  const [, given] = /\bfd=(\d+)/.exec(text) ?? [];
  if (text.includes('id=control,') || !text.includes('server=on')) continue;
  const server = createServer();
  server.listen(path === undefined ? { fd: Number(given) } : path.replaceAll(',,', ','), () => {
    if (mode !== 'refuse-late') return;
    console.error('qemu-system-x86_64: -device: no such thing');
    process.exit(1);
  });
}
const [, fd] = chardevs.map((text) => /id=control,fd=(\d+),server=on/.exec(text)).find(Boolean);
let control;
const send = (message) => control.write(`${JSON.stringify(message)}\n`);

let rest = '';
createServer((socket) => {
  control = socket;
  send({ QMP: {} });
  control.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) answer(JSON.parse(line));
  });
}).listen({ fd: Number(fd) });

const LISTS = ['query-cpus-fast', 'query-blockstats', 'query-memory-devices', 'query-pci'];

function answer({ execute, id }) {
  send({ return: LISTS.includes(execute) ? [] : {}, id });
  if (execute === 'quit') control.end(() => process.exit(0));
  if (execute === 'system_reset') send({ event: 'RESET', data: {} });
  if (execute === 'system_powerdown') {
    send({ event: 'SHUTDOWN', data: { guest: true, reason: 'guest-shutdown' } });
  }
  if (execute === 'cont' && mode === 'panic') {
    send({ event: 'GUEST_PANICKED', data: { action: 'pause' } });
  }
  if (execute === 'set-action') {
    send({ event: 'SHUTDOWN', data: { guest: true, reason: 'guest-reset' } });
  }
  if (execute === 'cont' && mode === 'abort') {
    console.error('qemu: memory.c: assertion failed');
    process.kill(process.pid, 'SIGABRT');
  }
}
