import { describe, expect, test } from 'vitest';
import { Missed, Opcode } from '../../src/ffi/gate/gate-layout.ts';
import { GateRequests } from '../../src/hosts/windows/gate-requests.ts';
import {
  type Lifecycle,
  lifecycleAfter,
  NOT_ATTACHED,
  ServedFunction,
} from '../../src/hosts/windows/served-function.ts';
import type { PciDeviceCallbacks } from '../../src/pci/device-callbacks.ts';

const E_FAIL = 0x8000_4005;
const E_INVALIDARG = 0x8007_0057;

/** A gate with one request in it. */
class OneRequest {
  readonly opcode: number;
  readonly bar: number = 0;
  readonly offset: number = 0;
  readonly length: number = 0;
  readonly count: number = 0;
  readonly data: Uint8Array = new Uint8Array(64);
  readonly answerData: Uint8Array = new Uint8Array(112);
  /** What was answered: HRESULT, or the two halves of a value. */
  answered: readonly number[] = [];

  constructor(
    opcode: number,
    fields: Partial<Pick<OneRequest, 'bar' | 'offset' | 'length' | 'count'>> = {},
    data: readonly number[] | Uint8Array = [],
  ) {
    this.opcode = opcode;
    Object.assign(this, fields);
    this.data.set(data);
  }

  get low(): number {
    const word = new DataView(this.data.buffer).getUint32(0, true);
    return this.length >= 4 ? word : word & ((1 << (8 * this.length)) - 1);
  }

  get high(): number {
    return new DataView(this.data.buffer).getUint32(4, true);
  }

  answer(hresult: number): boolean {
    this.answered = [hresult];
    return true;
  }

  answerValue(low: number, high: number): boolean {
    this.answered = [low, high];
    return true;
  }
}

/** Writes down how it is called; reads give the offset, once per byte of the access. */
class Recorder implements PciDeviceCallbacks {
  readonly calls: unknown[][] = [];
  thrown: Error | undefined;

  initialize(): void {
    this.#note('initialize');
  }
  teardown(): void {
    this.#note('teardown');
  }
  setConfiguration(values: readonly string[]): void {
    this.#note('setConfiguration', ...values);
  }
  getDetails(): ReturnType<PciDeviceCallbacks['getDetails']> {
    this.#note('getDetails');
    const pnpId = {
      vendorId: 0x1234,
      deviceId: 0x5678,
      revisionId: 1,
      progIf: 2,
      subClass: 3,
      baseClass: 4,
      subVendorId: 0x9abc,
      subSystemId: 0xdef0,
    };
    return { pnpId, probedBars: [0xffff_f000, 0, 0, 0, 0, 0] };
  }
  start(): void {
    this.#note('start');
  }
  stop(): void {
    this.#note('stop');
  }
  readConfigSpace(offset: number): number {
    this.#note('readConfigSpace', offset);
    return 0xc0de_0000 + offset;
  }
  writeConfigSpace(offset: number, value: number): void {
    this.#note('writeConfigSpace', offset, value);
  }
  readInterceptedMemory(bar: number, offset: number, width: number): number {
    this.#note('read', bar, offset, width);
    return width === 4 ? (offset * 0x0101_0101) >>> 0 : width === 2 ? offset * 0x101 : offset;
  }
  writeInterceptedMemory(bar: number, offset: number, width: number, value: number): void {
    this.#note('write', bar, offset, width, value);
  }

  #note(...call: unknown[]): void {
    this.calls.push(call);
    if (this.thrown !== undefined) throw this.thrown;
  }
}

/** Serves requests one after the other. */
function serve(
  requests: readonly OneRequest[],
  device: Recorder = new Recorder(),
): { readonly device: Recorder; readonly refused: unknown[][] } {
  const refused: unknown[][] = [];
  const current = { request: requests[0] as OneRequest };
  const server = new Proxy({} as OneRequest, {
    get: (_target, name) => {
      const value: unknown = Reflect.get(current.request, name, current.request);
      return typeof value === 'function' ? value.bind(current.request) : value;
    },
  });
  const gate = new GateRequests({
    server,
    device,
    refused: (callback, error) => refused.push([callback, error]),
  });
  for (const request of requests) {
    current.request = request;
    gate.serve();
  }
  return { device, refused };
}

describe('an access of a BAR', () => {
  const read = (offset: number, length: number): OneRequest =>
    new OneRequest(Opcode.READ_INTERCEPTED_MEMORY, { bar: 2, offset, length });

  test.each([1, 2, 4] as const)('of %d bytes is one', (length) => {
    const request = read(0x10, length);
    const { device } = serve([request]);
    expect(device.calls).toEqual([['read', 2, 0x10, length]]);
    expect(request.answered).toEqual([[0x10, 0x1010, 0x1010_1010][length >> 1], 0]);
  });

  test('of 8 bytes is two of 4, the low half first', () => {
    const request = read(0x10, 8);
    const write = new OneRequest(
      Opcode.WRITE_INTERCEPTED_MEMORY,
      { bar: 2, offset: 0x10, length: 8 },
      [1, 0, 0, 0, 2, 0, 0, 0xff],
    );
    const { device } = serve([request, write]);
    expect(device.calls).toEqual([
      ['read', 2, 0x10, 4],
      ['read', 2, 0x14, 4],
      ['write', 2, 0x10, 4, 1],
      ['write', 2, 0x14, 4, 0xff00_0002],
    ]);
    expect(request.answered).toEqual([0x1010_1010, 0x1414_1414]);
    expect(write.answered).toEqual([0]);
  });

  test('of any other length is cut where widths are aligned', () => {
    const request = read(0x11, 7);
    const write = new OneRequest(
      Opcode.WRITE_INTERCEPTED_MEMORY,
      { offset: 0x12, length: 6 },
      [1, 2, 3, 4, 5, 6],
    );
    const { device } = serve([request, write]);
    expect(device.calls).toEqual([
      ['read', 2, 0x11, 1],
      ['read', 2, 0x12, 2],
      ['read', 2, 0x14, 4],
      ['write', 0, 0x12, 2, 0x0201],
      ['write', 0, 0x14, 4, 0x0605_0403],
    ]);
    expect(request.answered).toEqual([0]);
    expect([...request.answerData.subarray(0, 7)]).toEqual([
      0x11, 0x12, 0x12, 0x14, 0x14, 0x14, 0x14,
    ]);
  });
});

describe('config space', () => {
  test('is dwords', () => {
    const read = new OneRequest(Opcode.READ_CONFIG_SPACE, { offset: 0x3c, length: 4 });
    const write = new OneRequest(
      Opcode.WRITE_CONFIG_SPACE,
      { offset: 4, length: 4 },
      [6, 0, 0, 0x80],
    );
    const { device } = serve([read, write]);
    expect(read.answered).toEqual([0xc0de_003c, 0]);
    expect(write.answered).toEqual([0]);
    expect(device.calls[1]).toEqual(['writeConfigSpace', 4, 0x8000_0006]);
  });

  test('an offset in the middle of one reaches nothing', () => {
    const read = new OneRequest(Opcode.READ_CONFIG_SPACE, { offset: 2, length: 4 });
    const write = new OneRequest(Opcode.WRITE_CONFIG_SPACE, { offset: 2, length: 4 });
    const { device } = serve([read, write]);
    expect(device.calls).toEqual([]);
    expect([read.answered, write.answered]).toEqual([[0xffff_ffff, 0], [0]]);
  });
});

describe('the lifecycle', () => {
  const text = (index: number, offset: number, piece: string): OneRequest => {
    const data = Buffer.from(piece, 'utf16le');
    const fields = { count: index, offset, length: data.length };
    return new OneRequest(Opcode.CONFIGURATION_TEXT, fields, data);
  };

  test('configuration strings are put together of their pieces, and do not outlast the call', () => {
    const { device } = serve([
      text(0, 0, 'a'.repeat(32)),
      text(0, 32, 'ß\ud83d'),
      text(0, 34, '\ude00'),
      text(1, 0, ''),
      new OneRequest(Opcode.SET_CONFIGURATION, { count: 2 }),
      new OneRequest(Opcode.SET_CONFIGURATION),
    ]);
    expect(device.calls).toEqual([
      ['setConfiguration', `${'a'.repeat(32)}ß😀`, ''],
      ['setConfiguration'],
    ]);
  });

  test('details are HDV_PCI_PNP_ID and a dword per BAR that was asked for', () => {
    const request = new OneRequest(Opcode.GET_DETAILS, { count: 6 });
    serve([request]);
    expect(Buffer.from(request.answerData.subarray(0, 36)).toString('hex')).toBe(
      `3412785601020304bc9af0de00f0ffff${'00'.repeat(20)}`,
    );
    const more = new OneRequest(Opcode.GET_DETAILS, { count: 1000 });
    serve([more]);
    expect(more.answered).toEqual([0]);
  });

  test.each([
    ['Initialize', Opcode.INITIALIZE],
    ['SetConfiguration', Opcode.SET_CONFIGURATION],
    ['GetDetails', Opcode.GET_DETAILS],
    ['Start', Opcode.START],
  ] as const)('what %s throws is a failing HRESULT, and is told', (name, opcode) => {
    const results = [
      [new Error('no'), E_FAIL],
      [new RangeError('not that'), E_INVALIDARG],
      [Object.assign(new Error('not now'), { hresult: 0x8007_0015 }), 0x8007_0015],
      [Object.assign(new Error('in fact'), { hresult: 1 }), E_FAIL],
    ] as const;
    for (const [error, hresult] of results) {
      const device = new Recorder();
      device.thrown = error;
      const request = new OneRequest(opcode);
      const { refused } = serve([request], device);
      expect(request.answered).toEqual([hresult]);
      expect(refused).toEqual([[name, error]]);
    }
  });

  test('an unknown request is refused', () => {
    const request = new OneRequest(99);
    serve([request]);
    expect(request.answered).toEqual([E_INVALIDARG]);
  });
});

describe('a function in the hands of Hyper-V', () => {
  const track = (): { device: Recorder; served: ServedFunction; seen: Lifecycle[] } => {
    const device = new Recorder();
    const seen: Lifecycle[] = [];
    const served = new ServedFunction(device, {
      changed: (lifecycle) => seen.push(lifecycle),
      tornDown: () => device.calls.push(['released']),
    });
    return { device, served, seen };
  };

  test('says where it is in its life, and a fresh one is brought there', () => {
    const { served, seen } = track();
    served.initialize();
    served.setConfiguration(['x']);
    served.start();
    const fresh = track();
    const resume = ({ device, served: other }: typeof fresh): void =>
      other.resume(seen.at(-1) as Lifecycle, () => device.calls.push(['adopted']));
    resume(fresh);
    expect(fresh.device.calls).toEqual([
      ['initialize'],
      ['setConfiguration', 'x'],
      ['adopted'],
      ['start'],
    ]);
    served.stop();
    served.teardown();
    const idle = track();
    resume(idle);
    expect(idle.device.calls).toEqual([]);
  });

  test.each([
    [Missed.STOP, { initialized: true, configuration: ['x'], started: false }],
    [Missed.TEARDOWN, NOT_ATTACHED],
    [Missed.STOP | Missed.TEARDOWN, NOT_ATTACHED],
    [0, { initialized: true, configuration: ['x'], started: true }],
  ])('after callbacks %i that nobody heard it is where Hyper-V has it', (missed, expected) => {
    const lifecycle = { initialized: true, configuration: ['x'], started: true };
    expect(lifecycleAfter(lifecycle, missed)).toEqual(expected);
  });

  test('begins anew when Initialize comes again', () => {
    const { device, served } = track();
    served.initialize();
    served.initialize();
    expect(device.calls).toEqual([['initialize'], ['teardown'], ['released'], ['initialize']]);
  });

  test('has not started when Start threw', () => {
    const { device, served, seen } = track();
    served.initialize();
    device.thrown = new Error('no');
    expect(() => served.start()).toThrow('no');
    expect(seen.at(-1)).toMatchObject({ initialized: true, started: false });
  });
});
