import type { GuestFunction, GuestFunctionInfo } from 'hdvkit/testing';
import type { StandInDevices } from './stand-in-abi.ts';
import type { MessageHandler, StandInMessages } from './stand-in-messages.ts';

const COMMAND = 0x04;
const MEMORY_SPACE = 0x2;
const BUS_MASTER = 0x4;
const BAR_0 = 0x10;
const CAPABILITY_MSI = 0x05;
const CAPABILITY_PCI_EXPRESS = 0x10;
const CAPABILITY_MSIX = 0x11;
/** Message Control of MSI (PCIe 6.0, 7.7.1.2) and of MSI-X (7.7.2.2). */
const Msi = { ENABLE: 0x1, IS_64_BIT: 0x80, MASKING: 0x100 } as const;
const Msix = { ENABLE: 0x8000, MASK_ALL: 0x4000 } as const;
const DEVICE_CONTROL_FLR = 0x8000;
/** A device has this long for a function-level reset (PCIe 6.0, 6.6.2). */
const RESET_MS = 100;

/** One function in the guest of the stand-in, as a driver holds it. */
export class StandInFunction implements GuestFunction {
  readonly info: GuestFunctionInfo;
  /** The number by which the stand-in knows it. */
  readonly slot: number;
  readonly #devices: StandInDevices;
  readonly #systemId: string;
  readonly #messages: StandInMessages;
  readonly #handlers: MessageHandler[] = [];
  #arrived: number[] = [];

  constructor(
    devices: StandInDevices,
    messages: StandInMessages,
    systemId: string,
    slot: number,
    info: GuestFunctionInfo,
  ) {
    this.#devices = devices;
    this.#messages = messages;
    this.#systemId = systemId;
    this.slot = slot;
    this.info = info;
  }

  /** Memory decoding and bus mastering on. */
  async enable(): Promise<void> {
    const command = await this.readConfig(COMMAND, 2);
    await this.writeConfig(COMMAND, 2, command | MEMORY_SPACE | BUS_MASTER);
  }

  async readConfig(offset: number, width: 1 | 2 | 4): Promise<number> {
    return Number(await this.#config(offset, width, false, 0));
  }

  async writeConfig(offset: number, width: 1 | 2 | 4, value: number): Promise<void> {
    await this.#config(offset, width, true, value);
  }

  async readBar(slot: number, offset: number, width: 1 | 2 | 4): Promise<number> {
    return Number(await this.#bar(slot, offset, width, false, 0n));
  }

  async writeBar(slot: number, offset: number, width: 1 | 2 | 4, value: number): Promise<void> {
    await this.#bar(slot, offset, width, true, BigInt(value >>> 0));
  }

  /** One access of 8 bytes. */
  readBar64(slot: number, offset: number): Promise<bigint> {
    return this.#bar(slot, offset, 8, false, 0n);
  }

  async writeBar64(slot: number, offset: number, value: bigint): Promise<void> {
    await this.#bar(slot, offset, 8, true, BigInt.asUintN(64, value));
  }

  async enableInterrupts(kind: 'msix' | 'msi' | 'intx', count: number): Promise<void> {
    await this.disableInterrupts();
    if (kind === 'msix') await this.#enableMsix(count);
    else if (kind === 'msi') await this.#enableMsi(count);
    else throw new Error('Cannot enable INTx: the platform has none');
  }

  async disableInterrupts(): Promise<void> {
    const msix = await this.find(CAPABILITY_MSIX);
    if (msix !== 0) await this.writeConfig(msix + 2, 2, 0);
    const msi = await this.find(CAPABILITY_MSI);
    if (msi !== 0) {
      const control = await this.readConfig(msi + 2, 2);
      await this.writeConfig(msi + 2, 2, control & ~Msi.ENABLE);
    }
    await this.#messages.dispatch(0);
    for (const handler of this.#handlers.splice(0)) this.#messages.free(handler);
  }

  async takeInterrupts(): Promise<readonly number[]> {
    await this.#messages.dispatch(0);
    return this.#arrived.splice(0);
  }

  async waitInterrupt(vector: number, timeoutMs = 20_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    await this.#messages.dispatch(0);
    for (;;) {
      const at = this.#arrived.indexOf(vector);
      if (at >= 0) {
        this.#arrived.splice(at, 1);
        return;
      }
      if (performance.now() >= deadline) {
        throw new Error(`Cannot see vector ${vector}: it did not come in ${timeoutMs} ms`);
      }
      await this.#messages.dispatch(100);
    }
  }

  /** Function-level reset, with what a driver saves and restores around it. */
  async reset(): Promise<void> {
    const at = await this.find(CAPABILITY_PCI_EXPRESS);
    if (at === 0) throw new Error('Cannot reset the function: it has no function-level reset');
    const saved: number[] = [];
    for (let bar = 0; bar < 6; bar++) saved.push(await this.readConfig(BAR_0 + 4 * bar, 4));
    const command = await this.readConfig(COMMAND, 2);
    const control = await this.readConfig(at + 8, 2);
    await this.writeConfig(at + 8, 2, control | DEVICE_CONTROL_FLR);
    await new Promise((resolve) => setTimeout(resolve, RESET_MS));
    for (const [bar, value] of saved.entries()) await this.writeConfig(BAR_0 + 4 * bar, 4, value);
    await this.writeConfig(COMMAND, 2, command);
    for (const handler of this.#handlers.splice(0)) this.#messages.free(handler);
  }

  /** Offset of the first capability with this id, or 0. */
  async find(id: number): Promise<number> {
    let at = await this.readConfig(0x34, 1);
    for (let steps = 0; at !== 0 && at !== 0xff && steps < 48; steps++) {
      const header = await this.readConfig(at, 2);
      if ((header & 0xff) === id) return at;
      at = header >> 8;
    }
    return 0;
  }

  async #enableMsix(count: number): Promise<void> {
    const at = await this.find(CAPABILITY_MSIX);
    if (at === 0) throw new Error('Cannot enable MSI-X: the function has none');
    await this.writeConfig(at + 2, 2, Msix.ENABLE | Msix.MASK_ALL);
    const table = await this.readConfig(at + 4, 4);
    for (let vector = 0; vector < count; vector++) {
      const { address, data } = this.#give(1, () => vector);
      const entry = table - (table & 7) + 16 * vector;
      const words = [address, 0, data, 0];
      for (const [i, word] of words.entries()) {
        await this.writeBar(table & 7, entry + 4 * i, 4, word);
      }
    }
    await this.writeConfig(at + 2, 2, Msix.ENABLE);
  }

  async #enableMsi(count: number): Promise<void> {
    const at = await this.find(CAPABILITY_MSI);
    if (at === 0) throw new Error('Cannot enable MSI: the function has none');
    const control = await this.readConfig(at + 2, 2);
    const { address, data } = this.#give(count, (index) => index);
    const wide = (control & Msi.IS_64_BIT) !== 0;
    await this.writeConfig(at + 4, 4, address);
    if (wide) await this.writeConfig(at + 8, 4, 0);
    await this.writeConfig(at + (wide ? 12 : 8), 2, data);
    if (control & Msi.MASKING) await this.writeConfig(at + (wide ? 16 : 12), 4, 0);
    await this.writeConfig(at + 2, 2, (control & ~0x71) | (Math.log2(count) << 4) | Msi.ENABLE);
  }

  #give(count: number, vectorOf: (index: number) => number): { address: number; data: number } {
    const handler = (index: number): void => {
      this.#arrived.push(vectorOf(index));
    };
    this.#handlers.push(handler);
    return this.#messages.allocate(count, handler);
  }

  async #config(offset: number, width: number, isWrite: boolean, value: number): Promise<bigint> {
    const cell = newCell(BigInt(value >>> 0));
    const access = this.#devices.function('StandInGuestConfig');
    await access.async(this.#systemId, this.slot, offset, width, isWrite ? 1 : 0, cell);
    return cell[0] as bigint;
  }

  async #bar(
    bar: number,
    offset: number,
    width: number,
    isWrite: boolean,
    value: bigint,
  ): Promise<bigint> {
    const cell = newCell(value);
    const access = this.#devices.function('StandInGuestBar');
    await access.async(this.#systemId, this.slot, bar, offset, width, isWrite ? 1 : 0, cell);
    return cell[0] as bigint;
  }
}

/** Room for a 64-bit value that stays in place while native code has its address: small arrays move. */
export function newCell(value = 0n): BigUint64Array {
  const cell = new BigUint64Array(16);
  cell[0] = value;
  return cell;
}
