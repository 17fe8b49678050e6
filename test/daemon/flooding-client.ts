/**
 * A program for tests: a client that says hello to a daemon and then asks, without waiting, for as long as it lives.
 * `flooding-client.ts SOCKET`. For each line of standard input it prints how many requests it has got rid of, and how many
 * were answered, as JSON.
 */
import { connect } from 'node:net';

const [path = ''] = process.argv.slice(2);
const socket = connect(path);
let asked = 0;
let answered = 0;
/** Requests that went into the socket with the last write; the next one waits until they have left it. */
let leaving = 0;
let text = '';

function framed(id: number, method: string, params: object): string {
  const body = JSON.stringify({ jsonrpc: '2.0', id, method, params });
  return `Content-Length: ${body.length}\r\n\r\n${body}`;
}

// So long that what the system keeps on the way is some hundred of them.
const enumerate = { function: 'x'.repeat(1000), idNamespace: '', query: '{}', call: 1 };

function ask(): void {
  asked += leaving;
  leaving = 16;
  const requests = Array.from({ length: leaving }, (_, i) =>
    framed(asked + i + 1, 'enumerate', enumerate),
  );
  socket.write(requests.join(''), ask);
}

socket.on('data', (data) => {
  text += data.toString('latin1');
  const parts = text.split('Content-Length');
  answered += parts.length - 1;
  text = parts.at(-1) ?? '';
});
socket.write(framed(0, 'hello', { oldest: 1, newest: 1, version: 'test' }));
ask();
process.stdin.on('data', () => console.log(JSON.stringify({ asked, answered })));
