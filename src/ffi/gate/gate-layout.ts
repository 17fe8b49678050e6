/** A C type of the gate's memory. `line`: stands at the start of a cache line of its own. */
interface Field {
  readonly type: 'uint8_t' | 'uint32_t' | 'uint64_t';
  readonly count: number;
  readonly line: boolean;
}

/** Bytes between words with different writers: two cache lines, as processors fetch them in pairs. */
export const LINE = 128;

const SIZES = { uint8_t: 1, uint32_t: 4, uint64_t: 8 } as const;

const u32 = (count = 1): Field => ({ type: 'uint32_t', count, line: false });
const u64 = (count = 1): Field => ({ type: 'uint64_t', count, line: false });
const u8 = (count: number): Field => ({ type: 'uint8_t', count, line: false });
const ownLine = (field: Field): Field => ({ ...field, line: true });

/** A C struct: where its fields are, in bytes. */
export interface GateStruct<Name extends string = string> {
  readonly name: string;
  readonly fields: Readonly<Record<Name, Field>>;
  readonly offset: Readonly<Record<Name, number>>;
  /** Bytes, a multiple of `align`. */
  readonly size: number;
}

function layOut<Name extends string>(
  name: string,
  align: number,
  fields: Readonly<Record<Name, Field>>,
): GateStruct<Name> {
  const offset = {} as Record<Name, number>;
  let end = 0;
  for (const [field, { type, count, line }] of Object.entries<Field>(fields)) {
    const start = roundUp(end, line ? LINE : SIZES[type]);
    offset[field as Name] = start;
    end = start + SIZES[type] * count;
  }
  return { name, fields, offset, size: roundUp(end, align) };
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** Requests that can be under way at once; further native threads wait for a slot. */
export const SLOTS = 64;

/** The first slots, which are the ones in use as long as few threads call: the consumer looks at these themselves. */
export const WATCHED_SLOTS = 4;

/** Doorbells of one gate. */
export const DOORBELLS = 256;

/** Bytes of data that a request carries, and an answer. */
export const REQUEST_BYTES = 64;
export const ANSWER_BYTES = 112;

/** What a request asks for: the callbacks of HDV_PCI_DEVICE_INTERFACE, in the order of its fields. */
export const Opcode = {
  INITIALIZE: 1,
  TEARDOWN: 2,
  SET_CONFIGURATION: 3,
  GET_DETAILS: 4,
  START: 5,
  STOP: 6,
  READ_CONFIG_SPACE: 7,
  WRITE_CONFIG_SPACE: 8,
  READ_INTERCEPTED_MEMORY: 9,
  WRITE_INTERCEPTED_MEMORY: 10,
  /** A piece of a configuration string; a SET_CONFIGURATION follows the last one. */
  CONFIGURATION_TEXT: 11,
} as const;

/**
 * What has become of a slot, in the low bits of its `state`; the ticket of the request is above them, so that nobody
 * can mistake one request for another. Every change but the first and the last is a compare-and-exchange: whoever
 * brings a request from TAKEN to ANSWERING, and nobody else, may write the answer.
 */
export const Phase = {
  FREE: 0,
  POSTED: 1,
  TAKEN: 2,
  ANSWERING: 3,
  ANSWERED: 4,
  FAILED: 5,
} as const;
/** What returned without a device, although it has no result to say so: bits that are set until the gate opens again. */
export const Missed = { STOP: 1, TEARDOWN: 2 } as const;

export const PHASE_BITS = 3;
export const PHASE_MASK = (1 << PHASE_BITS) - 1;

/**
 * The head of a gate. Each group stands on lines of its own.
 *
 * | group | writer |
 * | --- | --- |
 * | closed … wakeByAddressSingle | owner, seldom |
 * | freeSlots … missed | native threads |
 * | posted, rung | native threads set bits, the consumer clears them |
 * | sleeping | consumer sets, native threads clear |
 * | spin… | native threads: how long a wait for an answer has lately been worth a spin |
 * | progress | consumer |
 */
export const GATE = layOut('gate', LINE, {
  closed: ownLine(u32()),
  /** Longest spin, in polls. */
  spinLimit: u32(),
  /** Longest wait in the kernel, in milliseconds, before looking whether the gate was closed. */
  sliceMs: u32(),
  /** Slices that a request whose answer was begun waits on in a closed gate. */
  patience: u32(),
  /** Event handle that wakes the consumer; 0: it never sleeps. */
  wakeEvent: u64(),
  /** BOOL SetEvent(HANDLE) */
  setEvent: u64(),
  /** BOOL WaitOnAddress(volatile void *, void *, size_t, DWORD) */
  waitOnAddress: u64(),
  /** void WakeByAddressSingle(void *) */
  wakeByAddressSingle: u64(),

  /** One bit per slot. */
  freeSlots: ownLine(u64()),
  /** Number of the last request. */
  ticket: u32(),
  /** Grows when a slot becomes free that somebody waits for. */
  releases: u32(),
  slotWaiters: u32(),
  /** Bits of {@link Missed}. */
  missed: u32(),

  /** One bit per slot whose request nobody has taken; none for the watched slots. */
  posted: ownLine(u32(SLOTS / 32)),
  /** One bit per doorbell that was rung. */
  rung: u32(DOORBELLS / 32),
  /** Grows with each ring. */
  rings: u32(),

  sleeping: ownLine(u32()),

  /** Of waits for a consumer that was awake, and for one that had to be woken: they take very different times. */
  spinAverage: ownLine(u32(2)),
  spinMisses: u32(2),
  spinSkips: u32(2),
  spinDistance: u32(2),

  /** Grows when the consumer takes a request, and when it answers one. */
  progress: ownLine(u32()),
});

/** One request and its answer. The native thread writes the first lines, and spins on the second ones. */
export const SLOT = layOut('gate_slot', LINE, {
  /** Ticket and {@link Phase}. */
  state: ownLine(u32()),
  /** {@link Opcode} */
  opcode: u32(),
  /** 1: the native thread waits in the kernel, on `answered`. */
  waiting: u32(),
  bar: u32(),
  offset: u64(),
  /** Bytes asked for or carried: any number that the caller gave. */
  length: u32(),
  /** Strings or BARs; of a piece of text: which string. */
  count: u32(),
  data: u8(REQUEST_BYTES),

  /** Ticket, with ANSWERED or FAILED: written last. */
  answered: ownLine(u32()),
  hresult: u32(),
  answer: u8(ANSWER_BYTES),
});

/** Context of one registered wait: RegisterWaitForSingleObject. */
export const DOORBELL = layOut('gate_doorbell', 16, {
  /** Address of the gate; 0: not in use. */
  gate: u64(),
  index: u32(),
  count: u32(),
});

/** A COM object that implements IVmDeviceHostSupport; `vtable` points at `functions`. */
export const SUPPORT = layOut('gate_support', 16, {
  vtable: u64(),
  /** IID of IVmDeviceHostSupport, as its 16 bytes. */
  interfaceId: u64(2),
  /** HCS_SYSTEM */
  system: u64(),
  /** HRESULT HdvProxyDeviceHost(HCS_SYSTEM, PVOID, DWORD, UINT64 *) */
  proxy: u64(),
  references: u32(),
  /** How often RegisterDeviceHost returned. */
  registrations: u32(),
  /** What it returned last. */
  hresult: u32(),
  /** Process of the device host that registered last. */
  processId: u32(),
  /** QueryInterface, AddRef, Release, RegisterDeviceHost. */
  functions: u64(4),
});

/**
 * HDV_PCI_DEVICE_INTERFACE: which entry of the gate's code stands at which offset, and its size. A test compares it with
 * the table of vmdevicehost.dll, which this folder must not know.
 */
export const DEVICE_TABLE = {
  gate_initialize: 8,
  gate_teardown: 16,
  gate_set_configuration: 24,
  gate_get_details: 32,
  gate_start: 40,
  gate_stop: 48,
  gate_read_config_space: 56,
  gate_write_config_space: 64,
  gate_read_intercepted_memory: 72,
  gate_write_intercepted_memory: 80,
} as const;
export const DEVICE_TABLE_BYTES = 88;

/** Where slots and doorbells are in a gate, and its size in bytes. */
export const SLOTS_OFFSET = GATE.size;
export const DOORBELLS_OFFSET = SLOTS_OFFSET + SLOTS * SLOT.size;
export const GATE_BYTES = DOORBELLS_OFFSET + DOORBELLS * DOORBELL.size;

/** The numbers that C needs besides the structs. */
export const CONSTANTS: Readonly<Record<string, number>> = {
  GATE_SLOTS: SLOTS,
  GATE_WATCHED_SLOTS: WATCHED_SLOTS,
  GATE_SLOTS_OFFSET: SLOTS_OFFSET,
  GATE_REQUEST_BYTES: REQUEST_BYTES,
  GATE_ANSWER_BYTES: ANSWER_BYTES,
  GATE_PHASE_BITS: PHASE_BITS,
  ...prefixed('OP_', Opcode),
  ...prefixed('PHASE_', Phase),
  ...prefixed('GATE_MISSED_', Missed),
};

export const STRUCTS: readonly GateStruct[] = [GATE, SLOT, DOORBELL, SUPPORT];

function prefixed(
  prefix: string,
  values: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(values).map(([name, n]) => [prefix + name, n]));
}
