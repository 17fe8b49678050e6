import { expect, test } from 'vitest';
import { DeviceLoadError, loadDevice } from '../../src/hdv/load-device.ts';

const module = (name: string): URL => new URL(`./modules/${name}.ts`, import.meta.url);

test('a class is taken by its name', async () => {
  const device = await loadDevice(module('devices'), 'Second');
  expect(device.constructor.name).toBe('Second');
});

test('without a name it is the default export, or the only device class', async () => {
  expect((await loadDevice(module('default'))).constructor.name).toBe('Second');
  expect((await loadDevice(module('single'))).constructor.name).toBe('Only');
});

test.each([
  ['devices', undefined, /it exports the device classes \w+, \w+, \w+; say which one/],
  ['devices', 'Third', /Cannot find the export Third in .*devices.ts: it exports the device/],
  ['devices', 'number', /Cannot use number of .*devices.ts as a device: it is not a class/],
  [
    'devices',
    'Broken',
    /Cannot construct Broken of .*: its constructor threw RangeError: register/,
  ],
  ['none', undefined, /Cannot find a device in .*none.ts: it exports no device class; export one/],
  ['fails-to-load', undefined, /Cannot load .*: TypeError: two registers have one offset/],
  ['missing', undefined, /Cannot load .*missing.ts: /],
])('%s with the export %s is refused with the reason', async (file, name, message) => {
  const loading = loadDevice(module(file), name);
  await expect(loading).rejects.toThrow(message);
  await expect(loading).rejects.toBeInstanceOf(DeviceLoadError);
});
