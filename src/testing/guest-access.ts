/**
 * What a program in the guest can do to one machine, whatever runs it: the simulated machine answers at once, a real
 * Linux guest through a program that runs in it. One conformance suite drives both.
 */
export interface GuestAccess {
  /** Functions on the bus in bus order, as the guest enumerated them. */
  functions(): Promise<readonly GuestFunctionInfo[]>;
  /**
   * Takes hold of a function: BARs placed, memory decoding and bus mastering on.
   * @throws RangeError when there is none with these ids
   */
  open(match: { readonly vendorId: number; readonly deviceId: number }): Promise<GuestFunction>;
  /** Memory for DMA, page-aligned, zeroed, contiguous in guest-physical addresses. At most 64 KiB in one piece. */
  allocate(bytes: number): Promise<GuestAllocation>;
  /** Waits, in the machine's time, at least `ms`. */
  sleep(ms: number): Promise<void>;
  /** Lets go of everything that was opened and allocated. */
  close(): Promise<void>;
}

/** A function as enumeration shows it. */
export interface GuestFunctionInfo {
  /** `0000:00:04.0` */
  readonly address: string;
  readonly vendorId: number;
  readonly deviceId: number;
  /** 24 bits. */
  readonly classCode: number;
  readonly bars: readonly { readonly slot: number; readonly gpa: number; readonly size: number }[];
}

/** Memory that the guest gave to a device. */
export interface GuestAllocation {
  readonly gpa: number;
  readonly length: number;
  read(offset: number, length: number): Promise<Buffer>;
  write(offset: number, bytes: Uint8Array): Promise<void>;
}

/** Raw access to one function, as a driver has it. */
export interface GuestFunction {
  readonly info: GuestFunctionInfo;
  readConfig(offset: number, width: 1 | 2 | 4): Promise<number>;
  writeConfig(offset: number, width: 1 | 2 | 4, value: number): Promise<void>;
  /** One access of this width, even when it is misaligned. */
  readBar(slot: number, offset: number, width: 1 | 2 | 4): Promise<number>;
  writeBar(slot: number, offset: number, width: 1 | 2 | 4, value: number): Promise<void>;
  readBar64(slot: number, offset: number): Promise<bigint>;
  writeBar64(slot: number, offset: number, value: bigint): Promise<void>;
  /** Programs `count` vectors (for `intx` 1) and unmasks them. */
  enableInterrupts(kind: 'msix' | 'msi' | 'intx', count: number): Promise<void>;
  disableInterrupts(): Promise<void>;
  /** Vectors that arrived since the last call, in order of arrival. */
  takeInterrupts(): Promise<readonly number[]>;
  /**
   * Waits until the vector arrives, and takes it.
   * @throws Error when it has not within `timeoutMs` of the machine's time
   */
  waitInterrupt(vector: number, timeoutMs?: number): Promise<void>;
  /** Function-level reset, by whatever way the guest has; BARs and decoding are as before afterwards. */
  reset(): Promise<void>;
}
