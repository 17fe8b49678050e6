import type { GuestAgent } from '../engines/qemu/guest-agent.ts';
import type {
  GuestAccess,
  GuestAllocation,
  GuestFunction,
  GuestFunctionInfo,
} from './guest-access.ts';

/**
 * Prints every function as sysfs has it: address, ids and class on one line, then one line for each resource. All by
 * the shell itself: on an emulated processor it takes longer to start a program than to read the whole bus.
 */
const LIST_FUNCTIONS = [
  'cd /sys/bus/pci/devices',
  'for d in *; do read -r v <$d/vendor; read -r i <$d/device; read -r c <$d/class; echo "$d $v $i $c"',
  'while read -r r; do echo "$r"; done <$d/resource; done',
].join('; ');
const BAR_SLOTS = 6;

/** {@link GuestAccess} to a Linux guest that runs the control agent. */
export class LinuxGuestAccess implements GuestAccess {
  readonly #agent: GuestAgent;
  readonly #opened = new Set<LinuxGuestFunction>();

  /** @param agent stays the caller's: closing this leaves it connected */
  constructor(agent: GuestAgent) {
    this.#agent = agent;
  }

  async functions(): Promise<readonly GuestFunctionInfo[]> {
    const { exitCode, stdout, stderr } = await this.#agent.run(LIST_FUNCTIONS);
    if (exitCode !== 0) throw new Error(`Cannot list the guest's functions: ${stderr.trim()}`);
    return parseFunctions(stdout);
  }

  async open(match: {
    readonly vendorId: number;
    readonly deviceId: number;
  }): Promise<GuestFunction> {
    const info = (await this.functions()).find(
      ({ vendorId, deviceId }) => vendorId === match.vendorId && deviceId === match.deviceId,
    );
    if (info === undefined) {
      const ids = [match.vendorId, match.deviceId].map((id) => id.toString(16).padStart(4, '0'));
      throw new RangeError(`Cannot open ${ids.join(':')}: there is no such function on the bus`);
    }
    await this.#agent.enable(info.address);
    const fn = new LinuxGuestFunction(this.#agent, info);
    this.#opened.add(fn);
    return fn;
  }

  async allocate(bytes: number): Promise<GuestAllocation> {
    const agent = this.#agent;
    const gpa = await agent.allocate(bytes);
    return {
      gpa,
      length: bytes,
      read: (offset, length) => agent.readMemory(gpa + offset, length),
      write: (offset, from) => agent.writeMemory(gpa + offset, from),
    };
  }

  async sleep(ms: number): Promise<void> {
    await this.#agent.run(`sleep ${(ms / 1000).toFixed(3)}`);
  }

  /** Interrupts are off afterwards; memory stays allocated until the guest ends. */
  async close(): Promise<void> {
    for (const fn of this.#opened) {
      // A function that was unplugged has nothing to turn off.
      await fn.disableInterrupts().catch(() => undefined);
    }
    this.#opened.clear();
  }
}

/** One function in a Linux guest, reached by the agent. */
class LinuxGuestFunction implements GuestFunction {
  readonly info: GuestFunctionInfo;
  readonly #agent: GuestAgent;
  /** Arrived, and waited for by nobody yet. */
  readonly #arrived: number[] = [];

  constructor(agent: GuestAgent, info: GuestFunctionInfo) {
    this.#agent = agent;
    this.info = info;
  }

  readConfig(offset: number, width: 1 | 2 | 4): Promise<number> {
    return this.#agent.readConfig(this.info.address, offset, width);
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): Promise<void> {
    return this.#agent.writeConfig(this.info.address, offset, width, value);
  }

  readBar(slot: number, offset: number, width: 1 | 2 | 4): Promise<number> {
    return this.#agent.readBar(this.info.address, slot, offset, width);
  }

  writeBar(slot: number, offset: number, width: 1 | 2 | 4, value: number): Promise<void> {
    return this.#agent.writeBar(this.info.address, slot, offset, width, value >>> 0);
  }

  readBar64(slot: number, offset: number): Promise<bigint> {
    return this.#agent.readBar64(this.info.address, slot, offset);
  }

  writeBar64(slot: number, offset: number, value: bigint): Promise<void> {
    return this.#agent.writeBar(this.info.address, slot, offset, 8, value);
  }

  async enableInterrupts(kind: 'msix' | 'msi' | 'intx', count: number): Promise<void> {
    await this.#agent.enableInterrupts(this.info.address, kind, count);
  }

  disableInterrupts(): Promise<void> {
    return this.#agent.disableInterrupts(this.info.address);
  }

  async takeInterrupts(): Promise<readonly number[]> {
    const now = await this.#agent.takeInterrupts(this.info.address);
    return [...this.#arrived.splice(0), ...now];
  }

  async waitInterrupt(vector: number, timeoutMs = 5000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const index = this.#arrived.indexOf(vector);
      if (index >= 0) {
        this.#arrived.splice(index, 1);
        return;
      }
      const left = Math.ceil(deadline - performance.now());
      if (left <= 0)
        throw new Error(`Cannot see vector ${vector}: it did not come in ${timeoutMs} ms`);
      this.#arrived.push(...(await this.#agent.waitInterrupt(this.info.address, left)));
    }
  }

  async reset(): Promise<void> {
    const { address } = this.info;
    const { exitCode, stderr } = await this.#agent.run(
      `echo 1 > /sys/bus/pci/devices/${address}/reset`,
    );
    if (exitCode !== 0) throw new Error(`Cannot reset ${address}: ${stderr.trim()}`);
    await this.#agent.enable(address);
  }
}

function parseFunctions(text: string): GuestFunctionInfo[] {
  const functions: (GuestFunctionInfo & { readonly resources: (readonly number[])[] })[] = [];
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const words = line.split(' ');
    if (words.length === 4) {
      const [vendorId = 0, deviceId = 0, classCode = 0] = words.slice(1).map(Number);
      functions.push({
        address: words[0] as string,
        vendorId,
        deviceId,
        classCode,
        bars: [],
        resources: [],
      });
    } else {
      functions.at(-1)?.resources.push(words.map(Number));
    }
  }
  return functions.map(({ resources, ...info }) => ({
    ...info,
    bars: resources
      .slice(0, BAR_SLOTS)
      .flatMap(([start = 0, end = 0], slot) =>
        end === 0 ? [] : [{ slot, gpa: start, size: end - start + 1 }],
      ),
  }));
}
