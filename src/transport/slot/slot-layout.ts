/** Words between things with different writers: 128 bytes, as processors fetch cache lines in pairs. */
export const LINE = 32;

/** Requesters that one device thread can serve: this process's main thread and 15 virtual processors. */
export const MAX_REQUESTERS = 16;

/** Posted writes that a requester can have under way. A power of two. */
export const RING_ENTRIES = 256;

/**
 * Most posted writes of one requester that are done before the next requester is looked at: what a flood of one
 * processor costs a read of another.
 */
export const POSTED_BATCH = 64;

/** Words of one entry of a ring. */
export const ENTRY_WORDS = 4;

/** Word offsets of what a device thread has once. See {@link SlotChannel} for the table. */
export const Thread = {
  DOORBELL: 0,
  STATE: LINE,
  PROGRESS: 2 * LINE,
  SERVING: 2 * LINE + 1,
  SLEEPS: 2 * LINE + 2,
  REQUESTERS: 3 * LINE,
  COMMANDS: 3 * LINE + 1,
  WORDS: 4 * LINE,
} as const;

/** Bits of {@link Thread}.STATE. */
export const State = { SLEEPING: 1, CLOSED: 2 } as const;

/**
 * Word offsets in a slot, of which every requester has one. A SharedArrayBuffer begins at any multiple of 16 bytes, so
 * that only 4 words are sure to lie in one cache line of 64: the first 4 are all that most requests need.
 */
export const Slot = {
  SEQUENCE: 0,
  WHAT: 1,
  OFFSET: 2,
  VALUE: 3,
  OFFSET_HIGH: 4,
  RING_TAIL: 5,
  ANSWERED: LINE,
  ANSWER: LINE + 1,
  SLEEPING: 2 * LINE,
  RING_HEAD: 3 * LINE,
  RING: 4 * LINE,
  WORDS: 4 * LINE + RING_ENTRIES * ENTRY_WORDS,
} as const;

/** Word offsets in an entry of a ring: a write that nobody waits for. */
export const Entry = { WHAT: 0, OFFSET: 1, OFFSET_HIGH: 2, VALUE: 3 } as const;

/** Bit 0 of the answered sequence number: somebody else than the device thread has answered, with all ones. */
export const FAILED = 1;

/** Words of all of a channel. */
export const CHANNEL_WORDS = Thread.WORDS + MAX_REQUESTERS * Slot.WORDS;

/** What an access asks for. */
export const Operation = {
  READ: 1,
  WRITE: 2,
  READ_CONFIG: 3,
  WRITE_CONFIG: 4,
  /** As READ_CONFIG, unseen by observers. */
  PEEK_CONFIG: 5,
  /** Resets the function; the value is an index into {@link RESET_KINDS}. */
  RESET: 6,
  /** Nothing but to come after every posted write. */
  SYNC: 7,
} as const;

/** One of {@link Operation}. */
export type OperationCode = (typeof Operation)[keyof typeof Operation];

/** Kinds of reset, by their value in a request. */
export const RESET_KINDS = ['cold', 'function', 'disconnect'] as const;

/** In a {@link packWhat} word: the offset has a high word, which is otherwise not written, and not looked at. */
export const FAR = 8;

/** Operation, BAR, width and function of an access in one word. Functions are 0 to 2^20 - 1. */
export function packWhat(operation: number, bar: number, width: number, fn: number): number {
  return operation | (bar << 4) | (width << 8) | (fn << 12);
}

export const operationOf = (what: number): number => what & 7;
export const barOf = (what: number): number => (what >>> 4) & 0xf;
export const widthOf = (what: number): number => (what >>> 8) & 0xf;
export const functionOf = (what: number): number => what >>> 12;

/** First word of the slot of a requester. */
export const slotAt = (requester: number): number => Thread.WORDS + requester * Slot.WORDS;
