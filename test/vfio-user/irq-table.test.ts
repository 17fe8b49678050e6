import { describe, expect, test } from 'vitest';
import { createMemoryFile, takeEventFd } from '../../src/ffi/descriptors.ts';
import { Irq } from '../../src/vfio-user/device.ts';
import { Command } from '../../src/vfio-user/wire.ts';
import { MemoryDevice, Pair } from './pair.ts';

describe('a message-signalled vector', () => {
  test('writes its eventfd once per signal', () => {
    using pair = new Pair();
    const fd = pair.eventFd();
    pair.client.setTriggers(Irq.MSIX, 3, [fd]);
    pair.port.signal(Irq.MSIX, 3);
    pair.port.signal(Irq.MSIX, 3);
    expect(takeEventFd(fd)).toBe(2);
    pair.port.signal(Irq.MSIX, 2);
    expect(takeEventFd(fd)).toBe(0);
  });

  test('that has no eventfd yet fires once when it gets one', () => {
    using pair = new Pair();
    const fd = pair.eventFd();
    pair.port.signal(Irq.MSIX, 0);
    pair.port.signal(Irq.MSIX, 0);
    pair.client.setTriggers(Irq.MSIX, 0, [fd]);
    expect(takeEventFd(fd)).toBe(1);
    pair.client.setTriggers(Irq.MSIX, 0, [fd]);
    expect(takeEventFd(fd)).toBe(0);
  });

  test('that lost its eventfd keeps what comes for the next one', () => {
    using pair = new Pair();
    const [first, second] = [pair.eventFd(), pair.eventFd()];
    pair.client.setTriggers(Irq.MSIX, 0, [first]);
    pair.client.setTriggers(Irq.MSIX, 0, [], 1);
    pair.port.signal(Irq.MSIX, 0);
    expect(takeEventFd(first)).toBe(0);
    pair.client.setTriggers(Irq.MSIX, 0, [second]);
    expect(takeEventFd(second)).toBe(1);
  });

  test('that was disabled with its index, or reset, has forgotten', () => {
    using pair = new Pair();
    const fd = pair.eventFd();
    pair.port.signal(Irq.MSIX, 0);
    pair.client.setIrqs(0x21, Irq.MSIX, 0, 0);
    pair.client.setTriggers(Irq.MSIX, 0, [fd]);
    pair.client.setTriggers(Irq.MSIX, 0, [], 1);
    pair.port.signal(Irq.MSIX, 0);
    pair.client.reset();
    pair.client.setTriggers(Irq.MSIX, 0, [fd]);
    expect(takeEventFd(fd)).toBe(0);
  });

  test('tells the device when its eventfd comes and goes', () => {
    using pair = new Pair();
    const fd = pair.eventFd();
    pair.client.setTriggers(Irq.MSIX, 0, [], 1); // QEMU's probe: nothing to remove
    expect(pair.device.takeLog()).toEqual([]);
    pair.client.setTriggers(Irq.MSIX, 2, [fd, fd]);
    pair.client.setTriggers(Irq.MSIX, 2, [fd]);
    pair.client.setTriggers(Irq.MSIX, 3, [], 1);
    pair.client.setIrqs(0x21, Irq.MSIX, 0, 0);
    expect(pair.device.takeLog()).toEqual([
      'vector 2 2 true',
      'vector 2 3 true',
      'vector 2 2 true',
      'vector 2 3 false',
      'vector 2 2 false',
    ]);
  });

  test('can be triggered by the client, one by one or by a list', () => {
    using pair = new Pair();
    const fds = [pair.eventFd(), pair.eventFd(), pair.eventFd()];
    pair.client.setTriggers(Irq.MSI, 0, fds);
    pair.client.setIrqs(0x21, Irq.MSI, 1, 2);
    expect(fds.map(takeEventFd)).toEqual([0, 1, 1]);
    pair.client.setIrqs(0x22, Irq.MSI, 0, 3, [], Uint8Array.of(1, 0, 7));
    expect(fds.map(takeEventFd)).toEqual([1, 0, 1]);
  });

  test('of the error and request indexes works alike', () => {
    using pair = new Pair();
    const [error, request] = [pair.eventFd(), pair.eventFd()];
    pair.client.setTriggers(Irq.ERROR, 0, [error]);
    pair.client.setTriggers(Irq.REQUEST, 0, [request]);
    pair.port.signal(Irq.ERROR, 0);
    pair.port.signal(Irq.REQUEST, 0);
    expect([error, request].map(takeEventFd)).toEqual([1, 1]);
  });

  test('that the device does not have is ignored', () => {
    using pair = new Pair();
    expect(() => {
      pair.port.signal(Irq.MSIX, 16);
      pair.port.signal(Irq.MSIX, -1);
      pair.port.signal(7, 0);
    }).not.toThrow();
  });

  test('closes the eventfd that another replaces, and all of them when the index is disabled', () => {
    using pair = new Pair();
    const before = pair.state.ownedFds().length;
    const fds = Array.from({ length: 16 }, () => pair.eventFd());
    pair.client.setTriggers(Irq.MSIX, 0, fds);
    expect(pair.state.ownedFds()).toHaveLength(before + 16);
    pair.client.setTriggers(Irq.MSIX, 0, fds);
    expect(pair.state.ownedFds()).toHaveLength(before + 16);
    pair.client.setIrqs(0x21, Irq.MSIX, 0, 0);
    expect(pair.state.ownedFds()).toHaveLength(before);
  });
});

describe('the interrupt line', () => {
  test('signals once, then again for each unmask while it is asserted', () => {
    using pair = new Pair();
    const fd = pair.eventFd();
    pair.client.setTriggers(Irq.INTX, 0, [fd]);
    pair.port.setInterruptLine(true);
    pair.port.setInterruptLine(true);
    expect(takeEventFd(fd)).toBe(1);
    pair.client.setIrqs(0x11, Irq.INTX, 0, 1);
    expect(takeEventFd(fd)).toBe(1);
    pair.port.setInterruptLine(false);
    pair.client.setIrqs(0x11, Irq.INTX, 0, 1);
    expect(takeEventFd(fd)).toBe(0);
  });

  test('that rises while masked signals on unmask; one that fell meanwhile does not', () => {
    using pair = new Pair();
    const fd = pair.eventFd();
    pair.client.setTriggers(Irq.INTX, 0, [fd]);
    pair.client.setIrqs(0x09, Irq.INTX, 0, 1);
    pair.port.setInterruptLine(true);
    expect(takeEventFd(fd)).toBe(0);
    pair.port.setInterruptLine(false);
    pair.client.setIrqs(0x11, Irq.INTX, 0, 1);
    expect(takeEventFd(fd)).toBe(0);
    pair.client.setIrqs(0x0a, Irq.INTX, 0, 1, [], Uint8Array.of(1));
    pair.port.setInterruptLine(true);
    pair.client.setIrqs(0x12, Irq.INTX, 0, 1, [], Uint8Array.of(0));
    expect(takeEventFd(fd)).toBe(0);
    pair.client.setIrqs(0x12, Irq.INTX, 0, 1, [], Uint8Array.of(1));
    expect(takeEventFd(fd)).toBe(1);
  });

  test('that is asserted already signals as soon as there is an eventfd', () => {
    using pair = new Pair();
    const fd = pair.eventFd();
    pair.port.setInterruptLine(true);
    pair.client.setTriggers(Irq.INTX, 0, [fd]);
    expect(takeEventFd(fd)).toBe(1);
    pair.client.setIrqs(0x21, Irq.INTX, 0, 0);
    pair.client.setTriggers(Irq.INTX, 0, [fd]);
    expect(takeEventFd(fd)).toBe(1);
  });

  test('tells masking by the eventfds for it, and to the device what the client asks', () => {
    using pair = new Pair();
    const [trigger, mask, unmask] = [pair.eventFd(), pair.eventFd(), pair.eventFd()];
    pair.client.setTriggers(Irq.INTX, 0, [trigger]);
    pair.client.setIrqs(0x0c, Irq.INTX, 0, 1, [mask]);
    pair.client.setIrqs(0x14, Irq.INTX, 0, 1, [unmask]);
    pair.port.setInterruptLine(true);
    expect([mask, unmask].map(takeEventFd)).toEqual([1, 0]);
    pair.port.setInterruptLine(false);
    pair.client.setIrqs(0x11, Irq.INTX, 0, 1);
    expect([mask, unmask].map(takeEventFd)).toEqual([0, 1]);
    expect(pair.device.takeLog()).toEqual(['vector 0 0 true', 'mask 0 0 false']);
  });
});

describe('what SET_IRQS refuses with EINVAL', () => {
  test.each([
    ['no data kind', 0x20, Irq.MSIX, 0, 1],
    ['two data kinds', 0x23, Irq.MSIX, 0, 1],
    ['no action', 0x01, Irq.MSIX, 0, 1],
    ['two actions', 0x31, Irq.INTX, 0, 1],
    ['an unknown flag', 0x61, Irq.MSIX, 0, 1],
    ['an index that does not exist', 0x21, 5, 0, 1],
    ['a vector past the last', 0x21, Irq.MSIX, 16, 1],
    ['a count past the last', 0x21, Irq.MSIX, 1, 16],
    ['a range that wraps around', 0x21, Irq.MSIX, 0xffff_ffff, 0xffff_ffff],
    ['to disable from the middle', 0x21, Irq.MSIX, 3, 0],
    ['eventfds for no vector', 0x24, Irq.MSIX, 0, 0],
    ['to mask no vector', 0x09, Irq.INTX, 0, 0],
    ['to mask what cannot be masked', 0x09, Irq.MSIX, 0, 1],
    ['to unmask what cannot be masked', 0x11, Irq.MSI, 0, 1],
    ['a list that is missing', 0x22, Irq.MSIX, 0, 3],
  ])('%s', (_, flags, index, start, count) => {
    using pair = new Pair();
    expect(() => pair.client.setIrqs(flags, index, start, count)).toThrow('EINVAL');
    expect(pair.device.takeLog()).toEqual([]);
  });

  test('fewer or more eventfds than vectors, and eventfds that nobody asked for', () => {
    using pair = new Pair();
    const before = pair.state.ownedFds();
    const fds = [pair.eventFd(), pair.eventFd()];
    expect(() => pair.client.setTriggers(Irq.MSIX, 0, fds, 3)).toThrow('EINVAL');
    expect(() => pair.client.setTriggers(Irq.MSIX, 0, fds, 1)).toThrow('EINVAL');
    expect(() => pair.client.setIrqs(0x21, Irq.MSIX, 0, 1, fds)).toThrow('EINVAL');
    expect(pair.state.ownedFds()).toEqual(before);
  });

  test('a descriptor that is no eventfd', () => {
    using pair = new Pair();
    const before = pair.state.ownedFds();
    const file = pair.keep(createMemoryFile('no eventfd', 4096));
    expect(() => pair.client.setTriggers(Irq.MSIX, 0, [pair.eventFd(), file])).toThrow('EINVAL');
    expect(pair.state.ownedFds()).toEqual(before);
  });

  test('vectors of a device that has none', () => {
    using pair = new Pair(new MemoryDevice(undefined, [0, 0, 0, 0, 0]));
    expect(() => pair.client.setTriggers(Irq.INTX, 0, [pair.eventFd()])).toThrow('EINVAL');
    pair.client.setIrqs(0x21, Irq.INTX, 0, 0);
    pair.port.setInterruptLine(true);
    pair.port.signal(Irq.MSI, 0);
    const reply = pair.client.request(
      Command.DEVICE_GET_IRQ_INFO,
      Buffer.from([16, 0, 0, 0, ...Array(12).fill(0)]),
    );
    expect(reply.payload.readUInt32LE(12)).toBe(0);
  });
});
