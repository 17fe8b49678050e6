import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { closeFd } from '../../src/ffi/descriptors.ts';
import { listenUnix } from '../../src/ffi/unix-socket.ts';
import { VfioUserClient } from '../../src/vfio-user/client.ts';
import { VfioUserListener } from '../../src/vfio-user/listener.ts';
import { VfioUserError } from '../../src/vfio-user/vfio-user-error.ts';
import { TemporaryFolder } from './pair.ts';

function refusal(path: string): VfioUserError {
  try {
    VfioUserListener.listen(path).close();
  } catch (error) {
    if (error instanceof VfioUserError) return error;
    throw error;
  }
  throw new Error(`${path} was accepted`);
}

test('the socket is this user’s alone, whatever the umask, and goes when it is closed', () => {
  using folder = new TemporaryFolder();
  const path = folder.file('s');
  const before = process.umask(0);
  const listener = VfioUserListener.listen(path);
  process.umask(before);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  listener.close();
  listener.close();
  expect(existsSync(path)).toBe(false);
  expect(listener.accept()).toBe(-1);
});

test('clients are accepted one by one, without waiting for them', () => {
  using folder = new TemporaryFolder();
  const listener = VfioUserListener.listen(folder.file('s'));
  expect(listener.accept()).toBe(-1);
  const client = VfioUserClient.connect(listener.path);
  const fd = listener.accept();
  expect(fd).toBeGreaterThanOrEqual(0);
  expect(listener.accept()).toBe(-1);
  closeFd(fd);
  client.close();
  listener.close();
});

test('a socket that another server put in the place of the first is left alone', () => {
  using folder = new TemporaryFolder();
  const first = VfioUserListener.listen(folder.file('s'));
  unlinkSync(first.path);
  const second = VfioUserListener.listen(first.path);
  first.close();
  expect(existsSync(second.path)).toBe(true);
  second.close();
});

test('a path where a server listens is refused, and the server is not disturbed', () => {
  using folder = new TemporaryFolder();
  const listener = VfioUserListener.listen(folder.file('s'));
  const error = refusal(listener.path);
  expect(error.code).toBe('EADDRINUSE');
  expect(error.message).toBe(
    `Cannot listen on ${listener.path}: a server is listening there; stop it or choose another path`,
  );
  expect(listener.accept()).toBe(-1);
  listener.close();
});

test('a socket that a dead server of this user left behind is replaced', () => {
  using folder = new TemporaryFolder();
  const path = folder.file('s');
  const url = fileURLToPath(new URL('../../src/ffi/unix-socket.ts', import.meta.url));
  const program = `const { listenUnix } = await import(${JSON.stringify(url)}); listenUnix(${JSON.stringify(path)}); process.kill(process.pid, 'SIGKILL');`;
  const child = spawnSync(process.execPath, [
    '--import',
    'tsx',
    '--input-type=module',
    '-e',
    program,
  ]);
  expect(child.signal).toBe('SIGKILL');
  expect(existsSync(path)).toBe(true);
  const listener = VfioUserListener.listen(path);
  const client = VfioUserClient.connect(path);
  closeFd(listener.accept());
  client.close();
  listener.close();
});

test('a file in the way is refused and stays', () => {
  using folder = new TemporaryFolder();
  const path = folder.file('notes');
  writeFileSync(path, 'mine');
  expect(refusal(path).message).toBe(
    `Cannot listen on ${path}: a file of another kind is in its place; choose another path`,
  );
  expect(statSync(path).size).toBe(4);
});

test('a path that is too long is refused with its length', () => {
  using folder = new TemporaryFolder();
  const path = folder.file('x'.repeat(108));
  expect(refusal(path)).toMatchObject({
    code: 'ENAMETOOLONG',
    message: `Cannot listen on ${path}: a socket path has 1 to 107 bytes, this one has ${path.length}; choose a shorter one`,
  });
  const longest = folder.file('y'.repeat(107 - folder.path.length - 1));
  VfioUserListener.listen(longest).close();
  expect(refusal('').code).toBe('ENAMETOOLONG');
});

test('a folder that is missing is named', () => {
  using folder = new TemporaryFolder();
  expect(refusal(folder.file('none/s'))).toMatchObject({
    code: 'ENOENT',
    message: `Cannot listen on ${folder.file('none/s')}: the folder ${folder.file('none')} does not exist; create it first`,
  });
  writeFileSync(folder.file('file'), '');
  expect(refusal(folder.file('file/s')).code).toBe('ENOTDIR');
});

test('a socket of another user is refused', () => {
  using folder = new TemporaryFolder();
  const path = folder.file('s');
  if (process.getuid?.() !== 0) {
    // Only root can make a socket look like another user's; anyone finds one that is root's.
    expect(refusal('/run/systemd/private').code).toMatch(/EPERM|ENOENT|EACCES/);
    return;
  }
  closeFd(listenUnix(path));
  spawnSync('chown', ['65534', path]);
  expect(refusal(path)).toMatchObject({
    code: 'EPERM',
    message: `Cannot listen on ${path}: the socket there is not ours, it belongs to user 65534; choose another path`,
  });
  expect(existsSync(path)).toBe(true);
});

test('a folder in which nothing may be created is named, unless root asks', () => {
  using folder = new TemporaryFolder();
  const locked = folder.file('locked');
  mkdirSync(locked);
  chmodSync(locked, 0o500);
  if (process.getuid?.() === 0) VfioUserListener.listen(`${locked}/s`).close();
  else expect(refusal(`${locked}/s`).code).toBe('EACCES');
});

test('a client that finds nobody says where', () => {
  using folder = new TemporaryFolder();
  expect(() => VfioUserClient.connect(folder.file('s'))).toThrow(
    `Cannot connect to ${folder.file('s')}: ENOENT`,
  );
});
