/*
 * What native threads run when they call a device: they put the call into a slot of the gate, wake whoever serves it,
 * and wait for the answer. Also the callback of registered waits (doorbells), and a COM object.
 *
 * Freestanding and position independent: no library, no data, no relocation; everything is reached through the
 * pointer that the caller was given. Names and places of fields come from gate-layout.ts.
 */
#include <stddef.h>
#include <stdint.h>
#include "gate.h"

#define S_OK 0
#define E_FAIL ((int32_t)0x80004005)
#define E_POINTER ((int32_t)0x80004003)
#define E_NOINTERFACE ((int32_t)0x80004002)

#define ENTRY __attribute__((used, noinline))

typedef int32_t (*set_event_fn)(uint64_t event);
typedef int32_t (*wait_on_address_fn)(void *address, void *compare, size_t size, uint32_t ms);
typedef void (*wake_by_address_fn)(void *address);
typedef int32_t (*proxy_fn)(uint64_t system, void *host, uint32_t process, uint64_t *section);

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_SEQ_CST)
#define STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_SEQ_CST)
#define EXCHANGE(field, value) __atomic_exchange_n(&(field), (value), __ATOMIC_SEQ_CST)
#define ADD(field, value) __atomic_add_fetch(&(field), (value), __ATOMIC_SEQ_CST)
#define OR(field, value) __atomic_fetch_or(&(field), (value), __ATOMIC_SEQ_CST)
/* Figures that several threads update and nobody relies on. */
#define PEEK(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define POKE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

static inline int swap32(uint32_t *word, uint32_t from, uint32_t to) {
  return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Byte by byte, as a compiler would turn anything else into a call. Lengths are small. */
static inline void copy(uint8_t *to, const uint8_t *from, uint64_t length) {
  for (uint64_t i = 0; i < length; i++) to[i] = from[i];
}

static inline void fill(uint8_t *to, uint8_t value, uint64_t length) {
  for (uint64_t i = 0; i < length; i++) to[i] = value;
}

static inline struct gate_slot *slot_of(struct gate *gate, uint32_t index) {
  return (struct gate_slot *)((uint8_t *)gate + GATE_SLOTS_OFFSET) + index;
}

static inline uint32_t index_of(struct gate *gate, struct gate_slot *slot) {
  return (uint32_t)(slot - slot_of(gate, 0));
}

static void wait_for(struct gate *gate, uint32_t *word, uint32_t seen) {
  ((wait_on_address_fn)gate->waitOnAddress)(word, &seen, sizeof seen, gate->sliceMs);
}

/* A slot of the caller's own, or 0 when the gate is closed. Waits while all are in use. */
static __attribute__((noinline)) struct gate_slot *claim(struct gate *gate) {
  for (;;) {
    if (LOAD(gate->closed)) return 0;
    uint64_t free = LOAD(gate->freeSlots);
    while (free) {
      uint32_t index = (uint32_t)__builtin_ctzll(free);
      uint64_t rest = free & (free - 1);
      if (__atomic_compare_exchange_n(&gate->freeSlots, &free, rest, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return slot_of(gate, index);
    }
    uint32_t seen = LOAD(gate->releases);
    ADD(gate->slotWaiters, 1);
    if (!LOAD(gate->freeSlots) && !LOAD(gate->closed)) wait_for(gate, &gate->releases, seen);
    ADD(gate->slotWaiters, -1);
  }
}

static void release(struct gate *gate, struct gate_slot *slot) {
  STORE(slot->state, PHASE_FREE);
  OR(gate->freeSlots, (uint64_t)1 << index_of(gate, slot));
  if (LOAD(gate->slotWaiters)) {
    ADD(gate->releases, 1);
    ((wake_by_address_fn)gate->wakeByAddressSingle)(&gate->releases);
  }
}

/* Returns 1 when the consumer slept, 0 when it was awake. */
static inline uint32_t wake_consumer(struct gate *gate) {
  if (!LOAD(gate->sleeping)) return 0;
  if (EXCHANGE(gate->sleeping, 0) && gate->wakeEvent) ((set_event_fn)gate->setEvent)(gate->wakeEvent);
  return 1;
}

static inline int is_answered(struct gate_slot *slot, uint32_t ticket) {
  return LOAD(slot->answered) >> GATE_PHASE_BITS == ticket;
}

/*
 * Spins for an answer as long as that has lately been worth it: a moving average of the polls that were needed, and
 * after several spins in vain none at all for a number of waits that grows.
 */
static inline int spin(struct gate *gate, struct gate_slot *slot, uint32_t ticket, uint32_t kind) {
  uint32_t limit = gate->spinLimit;
  if (limit == 0) return 0;
  uint32_t skips = PEEK(gate->spinSkips[kind]);
  if (skips > 0) {
    POKE(gate->spinSkips[kind], skips - 1);
    return is_answered(slot, ticket);
  }
  uint32_t average = PEEK(gate->spinAverage[kind]);
  uint32_t budget = 8 * average + 500;
  if (budget > limit) budget = limit;
  for (uint32_t polls = 0; polls < budget; polls++) {
    if (is_answered(slot, ticket)) {
      int32_t change = (int32_t)(polls - average) / 8;
      if (change) POKE(gate->spinAverage[kind], average + (uint32_t)change);
      if (PEEK(gate->spinMisses[kind])) {
        POKE(gate->spinMisses[kind], 0);
        POKE(gate->spinDistance[kind], 16);
      }
      return 1;
    }
    __builtin_ia32_pause();
  }
  uint32_t misses = PEEK(gate->spinMisses[kind]) + 1;
  uint32_t larger = 2 * average + 64;
  POKE(gate->spinAverage[kind], larger > limit / 8 ? limit / 8 : larger);
  POKE(gate->spinMisses[kind], misses);
  if (misses >= 8) {
    uint32_t distance = PEEK(gate->spinDistance[kind]);
    POKE(gate->spinSkips[kind], distance);
    POKE(gate->spinDistance[kind], distance >= 256 ? 1024 : 4 * distance);
  }
  return 0;
}

/* In a closed gate a request that nobody is answering is the caller's own again. 1: it is; do not wait for an answer. */
static int withdraw(struct gate_slot *slot, uint32_t ticket, int begun) {
  uint32_t base = ticket << GATE_PHASE_BITS;
  if (swap32(&slot->state, base | PHASE_POSTED, base | PHASE_FAILED)) return 1;
  if (swap32(&slot->state, base | PHASE_TAKEN, base | PHASE_FAILED)) return 1;
  return begun && swap32(&slot->state, base | PHASE_ANSWERING, base | PHASE_FAILED);
}

/*
 * Publishes a request and waits for its answer.
 * Returns 1 when there is one, 0 when it failed. The slot stays the caller's.
 */
static __attribute__((noinline)) int submit(struct gate *gate, struct gate_slot *slot) {
  uint32_t index = index_of(gate, slot);
  uint32_t ticket = ADD(gate->ticket, 1) & (0xffffffffu >> GATE_PHASE_BITS);
  uint32_t before = LOAD(slot->answered);
  /* Tickets come round again, and a slot may have kept an answer, or its first zeros, as long as that. */
  if (before >> GATE_PHASE_BITS == ticket) STORE(slot->answered, before ^= 1u << GATE_PHASE_BITS);
  slot->waiting = 0;
  STORE(slot->state, ticket << GATE_PHASE_BITS | PHASE_POSTED);
  if (index >= GATE_WATCHED_SLOTS) OR(gate->posted[index / 32], 1u << index % 32);
  if (LOAD(gate->closed) && withdraw(slot, ticket, 0)) return 0;
  uint32_t slept = wake_consumer(gate);
  if (!spin(gate, slot, ticket, slept)) {
    STORE(slot->waiting, 1);
    for (uint32_t slices = 0; !is_answered(slot, ticket); slices++) {
      wait_for(gate, &slot->answered, before);
      if (!is_answered(slot, ticket) && LOAD(gate->closed) &&
          withdraw(slot, ticket, slices >= gate->patience))
        return 0;
    }
  }
  return slot->answered == (ticket << GATE_PHASE_BITS | PHASE_ANSWERED);
}

/* Submits a request without data either way. */
static int32_t ask(struct gate *gate, uint32_t opcode) {
  struct gate_slot *slot = claim(gate);
  if (!slot) return E_FAIL;
  slot->opcode = opcode;
  slot->length = 0;
  slot->count = 0;
  int32_t result = submit(gate, slot) ? (int32_t)slot->hresult : E_FAIL;
  release(gate, slot);
  return result;
}

ENTRY int32_t gate_initialize(struct gate *gate) { return ask(gate, OP_INITIALIZE); }

ENTRY void gate_teardown(struct gate *gate) {
  if (ask(gate, OP_TEARDOWN) < 0) OR(gate->missed, GATE_MISSED_TEARDOWN);
}

ENTRY int32_t gate_start(struct gate *gate) { return ask(gate, OP_START); }

ENTRY void gate_stop(struct gate *gate) {
  if (ask(gate, OP_STOP) < 0) OR(gate->missed, GATE_MISSED_STOP);
}

/* Strings of any length go over in pieces, so that whoever serves the gate never reads foreign memory. */
ENTRY int32_t gate_set_configuration(struct gate *gate, uint32_t count, const uint16_t *const *values) {
  struct gate_slot *slot = claim(gate);
  if (!slot) return E_FAIL;
  int32_t result = S_OK;
  for (uint32_t i = 0; i < count && result >= 0; i++) {
    const uint16_t *text = values ? values[i] : 0;
    uint64_t position = 0;
    int more;
    do {
      uint32_t units = 0;
      while (units < GATE_REQUEST_BYTES / 2 && text && text[position + units]) units++;
      copy(slot->data, (const uint8_t *)(text + position), 2 * units);
      slot->opcode = OP_CONFIGURATION_TEXT;
      slot->count = i;
      slot->offset = position;
      slot->length = 2 * units;
      result = submit(gate, slot) ? (int32_t)slot->hresult : E_FAIL;
      position += units;
      more = units == GATE_REQUEST_BYTES / 2 && text[position];
    } while (more && result >= 0);
  }
  if (result >= 0) {
    slot->opcode = OP_SET_CONFIGURATION;
    slot->count = count;
    slot->length = 0;
    result = submit(gate, slot) ? (int32_t)slot->hresult : E_FAIL;
  }
  release(gate, slot);
  return result;
}

/* HDV_PCI_PNP_ID has 12 bytes. */
ENTRY int32_t gate_get_details(struct gate *gate, uint8_t *pnp_id, uint32_t count, uint32_t *probed_bars) {
  struct gate_slot *slot = claim(gate);
  if (!slot) return E_FAIL;
  slot->opcode = OP_GET_DETAILS;
  slot->count = count;
  slot->length = 0;
  int32_t result = submit(gate, slot) ? (int32_t)slot->hresult : E_FAIL;
  if (result >= 0) {
    copy(pnp_id, slot->answer, 12);
    for (uint32_t i = 0; i < count; i++) {
      uint32_t at = 12 + 4 * i;
      probed_bars[i] = at + 4 <= GATE_ANSWER_BYTES ? *(uint32_t *)(slot->answer + at) : 0;
    }
  }
  release(gate, slot);
  return result;
}

/*
 * Accesses of a device that is gone succeed, as those of an empty slot do: reads give all ones. What becomes of a guest
 * whose access fails is not known, and a device must not take its machine along.
 */
ENTRY int32_t gate_read_config_space(struct gate *gate, uint32_t offset, uint32_t *value) {
  struct gate_slot *slot = claim(gate);
  int32_t result = S_OK;
  uint32_t read = 0xffffffff;
  if (slot) {
    slot->opcode = OP_READ_CONFIG_SPACE;
    slot->offset = offset;
    slot->length = 4;
    if (submit(gate, slot)) {
      result = (int32_t)slot->hresult;
      if (result >= 0) read = *(uint32_t *)slot->answer;
    }
    release(gate, slot);
  }
  *value = read;
  return result;
}

ENTRY int32_t gate_write_config_space(struct gate *gate, uint32_t offset, uint32_t value) {
  struct gate_slot *slot = claim(gate);
  if (!slot) return S_OK;
  slot->opcode = OP_WRITE_CONFIG_SPACE;
  slot->offset = offset;
  slot->length = 4;
  *(uint32_t *)slot->data = value;
  int32_t result = submit(gate, slot) ? (int32_t)slot->hresult : S_OK;
  release(gate, slot);
  return result;
}

/* What is longer than a slot goes over in pieces; accesses of 1, 2, 4 and 8 bytes are one. */
ENTRY int32_t gate_read_intercepted_memory(struct gate *gate, uint32_t bar, uint64_t offset, uint64_t length,
                                           uint8_t *value) {
  struct gate_slot *slot = claim(gate);
  int32_t result = S_OK;
  uint64_t done = 0;
  while (slot && done < length) {
    uint64_t piece = length - done < GATE_REQUEST_BYTES ? length - done : GATE_REQUEST_BYTES;
    slot->opcode = OP_READ_INTERCEPTED_MEMORY;
    slot->bar = bar;
    slot->offset = offset + done;
    slot->length = (uint32_t)piece;
    if (!submit(gate, slot)) break;
    result = (int32_t)slot->hresult;
    if (result < 0) break;
    copy(value + done, slot->answer, piece);
    done += piece;
  }
  fill(value + done, 0xff, length - done);
  if (slot) release(gate, slot);
  return result;
}

ENTRY int32_t gate_write_intercepted_memory(struct gate *gate, uint32_t bar, uint64_t offset, uint64_t length,
                                            const uint8_t *value) {
  struct gate_slot *slot = claim(gate);
  if (!slot) return S_OK;
  int32_t result = S_OK;
  for (uint64_t done = 0; done < length && result >= 0;) {
    uint64_t piece = length - done < GATE_REQUEST_BYTES ? length - done : GATE_REQUEST_BYTES;
    slot->opcode = OP_WRITE_INTERCEPTED_MEMORY;
    slot->bar = bar;
    slot->offset = offset + done;
    slot->length = (uint32_t)piece;
    copy(slot->data, value + done, piece);
    if (!submit(gate, slot)) break;
    result = (int32_t)slot->hresult;
    done += piece;
  }
  release(gate, slot);
  return result;
}

/* Callback of RegisterWaitForSingleObject. */
ENTRY void gate_ring(struct gate_doorbell *doorbell, uint8_t timed_out) {
  struct gate *gate = (struct gate *)LOAD(doorbell->gate);
  if (timed_out || !gate || LOAD(gate->closed)) return;
  uint32_t index = doorbell->index;
  ADD(doorbell->count, 1);
  OR(gate->rung[index / 32], 1u << index % 32);
  ADD(gate->rings, 1);
  wake_consumer(gate);
}

ENTRY uint32_t gate_support_add_ref(struct gate_support *support) { return ADD(support->references, 1); }

ENTRY uint32_t gate_support_release(struct gate_support *support) { return ADD(support->references, -1); }

ENTRY int32_t gate_support_query_interface(struct gate_support *support, const uint64_t *id, void **object) {
  if (!object) return E_POINTER;
  int known = id[0] == 0 && id[1] == 0x46000000000000c0; /* IUnknown */
  known |= id[0] == support->interfaceId[0] && id[1] == support->interfaceId[1];
  *object = known ? support : 0;
  if (!known) return E_NOINTERFACE;
  ADD(support->references, 1);
  return S_OK;
}

ENTRY int32_t gate_support_register(struct gate_support *support, void *host, uint32_t process, uint64_t *section) {
  int32_t result = ((proxy_fn)support->proxy)(support->system, host, process, section);
  STORE(support->processId, process);
  STORE(support->hresult, (uint32_t)result);
  ADD(support->registrations, 1);
  return result;
}
