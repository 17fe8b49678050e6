import { afterEach, beforeEach, expect, test, vi } from 'vitest';

type Hosts = typeof import('../../src/hosts/index.ts');

let hosts: Hosts;

beforeEach(async () => {
  vi.stubEnv('HDVKIT_HOST', undefined);
  vi.resetModules();
  hosts = await import('../../src/hosts/index.ts');
});

afterEach(() => {
  vi.unstubAllEnvs();
});

test('the host is the last that was asked for, and the same again when asked again', () => {
  const simulated = hosts.useHost('simulated');
  expect(simulated.name).toBe('simulated');
  expect(hosts.selectedHost()).toBe(simulated);
  expect(hosts.useHost('simulated')).toBe(simulated);
});

test('else it is the one that HDVKIT_HOST names', () => {
  vi.stubEnv('HDVKIT_HOST', 'simulated');
  expect(hosts.selectedHostName()).toBe('simulated');
  expect(hosts.selectedHost().name).toBe('simulated');
});

test('else it is the platform’s own', () => {
  const own = { linux: 'linux', win32: 'windows' }[process.platform as string] ?? 'simulated';
  expect(hosts.selectedHostName()).toBe(own);
});

test('an unknown name is refused with the names there are', () => {
  vi.stubEnv('HDVKIT_HOST', 'hyperv');
  expect(() => hosts.selectedHost()).toThrow(
    "Cannot use the host 'hyperv' (HDVKIT_HOST): the hosts are simulated, linux, windows",
  );
  expect(() => hosts.useHost('qemu' as never)).toThrow("Cannot use the host 'qemu' (useHost)");
});

test('a host that is not there is not replaced by another', () => {
  expect(() => hosts.useHost('windows')).toThrow(
    expect.objectContaining({ name: 'HostUnavailableError', host: 'windows' }),
  );
  vi.stubEnv('HDVKIT_HOST', 'windows');
  expect(() => hosts.selectedHost()).toThrow(/use HDVKIT_HOST=simulated or --host simulated/);
});
