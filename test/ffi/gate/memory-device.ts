import { Opcode } from '../../../src/ffi/gate/gate-layout.ts';
import type { GateServer } from '../../../src/ffi/gate/gate-server.ts';

const E_NOTIMPL = 0x8000_4001;
const E_INVALIDARG = 0x8007_0057;

/** Accesses beginning at this offset of BAR 1 do something else than answer: see {@link MemoryDevice}. */
export const Trap = { FAIL: 0x10, HANG: 0x20, THROW: 0x30, ABANDON: 0x40 } as const;

/**
 * A device that is a memory: BAR 0 and config space keep what is written. HDV's other callbacks are logged.
 * An access to BAR 1 at one of the {@link Trap}s fails, never returns, throws, or is left without an answer.
 */
export class MemoryDevice {
  readonly log: string[] = [];
  readonly #bar = new Uint8Array(0x10000);
  readonly #words = new Uint32Array(this.#bar.buffer);
  readonly #config = new Uint32Array(1024);
  #text: string[] = [];

  serve(server: GateServer): void {
    switch (server.opcode) {
      case Opcode.READ_INTERCEPTED_MEMORY:
        if (server.bar === 0) this.#read(server);
        else this.#trap(server);
        break;
      case Opcode.WRITE_INTERCEPTED_MEMORY:
        this.#bar.set(server.data.subarray(0, server.length), server.offset & 0xffff);
        server.answer(0);
        break;
      case Opcode.READ_CONFIG_SPACE:
        server.answerValue(this.#config[server.offset >>> 2]!, 0);
        break;
      case Opcode.WRITE_CONFIG_SPACE:
        this.#config[server.offset >>> 2] = server.low;
        server.answer(0);
        break;
      case Opcode.CONFIGURATION_TEXT: {
        const { count, data, length } = server;
        this.#text[count] =
          (this.#text[count] ?? '') + Buffer.from(data.subarray(0, length)).toString('utf16le');
        server.answer(0);
        break;
      }
      case Opcode.SET_CONFIGURATION:
        this.log.push(`SetConfiguration ${JSON.stringify(this.#text.slice(0, server.count))}`);
        this.#text = [];
        server.answer(0);
        break;
      case Opcode.GET_DETAILS:
        this.log.push(`GetDetails ${server.count}`);
        for (let i = 0; i < 12 + 4 * server.count; i++) server.answerData[i] = i + 1;
        server.answer(0);
        break;
      default: {
        const name = Object.entries(Opcode).find(([, code]) => code === server.opcode)?.[0];
        this.log.push(name ?? String(server.opcode));
        server.answer(name === 'START' ? E_NOTIMPL : 0);
      }
    }
  }

  #read(server: GateServer): void {
    const offset = server.offset & 0xffff;
    const { length } = server;
    if (length <= 4 && offset % 4 === 0) {
      server.answerValue(this.#words[offset >>> 2]!, 0);
    } else {
      server.answerData.set(this.#bar.subarray(offset, offset + length));
      server.answer(0);
    }
  }

  #trap(server: GateServer): void {
    switch (server.offset) {
      case Trap.FAIL:
        server.answer(E_INVALIDARG);
        break;
      case Trap.HANG:
        for (;;);
      case Trap.THROW:
        throw new Error('thrown in an access');
      case Trap.ABANDON:
        break;
      default:
        server.answerValue(0x7a7a7a7a, 0x7a7a7a7a);
    }
  }
}
