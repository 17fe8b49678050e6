import { expect, test } from 'vitest';
import { SupportObject } from '../../src/ffi/gate/support-object.ts';
import { native, system } from './gate/gate-fixture.ts';

const E_NOINTERFACE = 0x8000_4002;
const E_ACCESSDENIED = 0x8007_0005;

/** GUIDs as they lie in memory. */
const guid = (text: string): Uint8Array => {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return new Uint8Array(bytes);
};
const UNKNOWN = guid('00000000-0000-0000-c000-000000000046');
const DEVICE_HOST_SUPPORT = guid('e31aa49b-0914-465e-b145-1b9ba13efb10');
const DEVICE_HOST = guid('78523d62-d919-47ca-9cd7-08139172d685');

const create = (): SupportObject =>
  SupportObject.create(system, {
    interfaceId: DEVICE_HOST_SUPPORT,
    computeSystem: 0x1122_3344_5566,
    proxyDeviceHost: native.addressOf('proxy_device_host'),
  });

/** QueryInterface: its result and the pointer it gave. */
const query = (object: SupportObject, id: Uint8Array): [number, number] => {
  const found: [number | bigint] = [0];
  const result = native.function('support_query')(object.address, id, found);
  return [result, Number(found[0])];
};

test('QueryInterface knows IUnknown and IVmDeviceHostSupport, and counts a reference for each', () => {
  const object = create();
  expect(query(object, UNKNOWN)).toEqual([0, object.address]);
  expect(query(object, DEVICE_HOST_SUPPORT)).toEqual([0, object.address]);
  expect(object.references).toBe(3);
  expect(query(object, DEVICE_HOST)).toEqual([E_NOINTERFACE, 0]);
  expect(object.references).toBe(3);
});

test('references are counted right from four threads at once', () => {
  const object = create();
  expect(native.function('support_count')(object.address, 20_000)).toBe(1);
  expect(object.references).toBe(1);
});

test('RegisterDeviceHost hands the host to HdvProxyDeviceHost, and tells what that returned', () => {
  const object = create();
  const section: [number | bigint] = [0];
  const register = native.function('support_register');
  expect(object.registrations).toBe(0);
  expect(register(object.address, 0x7700_8800, 4711, section)).toBe(0);
  expect(Number(section[0])).toBe(0x12_3456_7890);
  expect([0, 1, 2].map((i) => Number(native.function('proxied_value')(i)))).toEqual([
    0x1122_3344_5566, 0x7700_8800, 4711,
  ]);
  expect([object.registrations, object.registrationResult, object.registeredProcess]).toEqual([
    1, 0, 4711,
  ]);

  expect(register(object.address, 0x7700_8800, 0, section)).toBe(E_ACCESSDENIED);
  expect([object.registrations, object.registrationResult]).toEqual([2, E_ACCESSDENIED]);
});

if (process.platform === 'win32') {
  test('the stack can be walked through the code of the gate', () => {
    const object = create();
    native.function('support_register')(object.address, 1, 4711, [0]);
    expect(native.function('was_walked')()).toBe(1);
  });
}

test('an interface identifier has 16 bytes', () => {
  expect(() =>
    SupportObject.create(system, {
      interfaceId: new Uint8Array(15),
      computeSystem: 0,
      proxyDeviceHost: 0,
    }),
  ).toThrow(new RangeError('Cannot use 15 bytes as a GUID: it has 16'));
});
