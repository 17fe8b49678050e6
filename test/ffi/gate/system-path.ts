/** The library that stands for Windows where there is none; undefined on Windows. */
export function systemPath(): string | undefined {
  return process.platform === 'win32' ? undefined : '/tmp/gate/system.so';
}
