/*
 * A small guest in each machine, driven by tests: it enumerates, reaches config space, BARs and memory, and takes
 * messages. Accesses go as a virtual processor's do: doorbells and section-backed ranges first, then the device's table.
 * Everything here may block for as long as a device does not answer.
 */
#ifndef HDV_GUEST_H
#define HDV_GUEST_H

#include "hdv-callbacks.h"

/* The device at a slot that may be called, entered; NULL when there is none. The caller leaves it. */
static Device *enter_slot(const wchar_t *systemId, uint32_t slot) {
  lock(&state);
  Machine *machine = find_machine(systemId);
  Device *found = NULL;
  for (Device *device = devices; device != NULL; device = device->next) {
    if (machine != NULL && device->host->machine == machine && device->slot == slot) found = device;
  }
  if (found != NULL) {
    enter(found);
    int was = atomic_load(&found->state);
    if (was != STARTED && was != STOPPED) {
      leave(found);
      found = NULL;
    }
  }
  unlock(&state);
  return found;
}

static int is_held_back(const Device *device, uint32_t word) {
  int held = word == COMMAND_WORD || (word >= FIRST_BAR_WORD && word < SHADOW_WORDS);
  return held && !device->host->machine->forwards;
}

static HRESULT read_word(Device *device, uint32_t word, uint32_t *value) {
  if (is_held_back(device, word) && word != COMMAND_WORD) {
    *value = device->shadow[word];
    return OK;
  }
  HRESULT result = call_read_config(device, 4 * word, value);
  // The status half is the device's own.
  if (is_held_back(device, word)) *value = (*value & 0xffff0000u) | (device->shadow[word] & 0xffff);
  return result;
}

static HRESULT write_word(Device *device, uint32_t word, uint32_t value) {
  if (!is_held_back(device, word)) return call_write_config(device, 4 * word, value);
  if (word == COMMAND_WORD) {
    device->shadow[word] = value & 0xffff;
    return OK;
  }
  uint32_t bar = word - FIRST_BAR_WORD;
  int isHigh = bar > 0 && (device->probed[bar - 1] & 7) == 4;
  uint32_t probed = device->probed[bar];
  device->shadow[word] = isHigh ? value & probed : (value & probed & ~15u) | (probed & 15);
  return OK;
}

static uint32_t width_mask(uint32_t width) { return width == 4 ? 0xffffffffu : (1u << (8 * width)) - 1; }

static HRESULT access_config(Device *device, uint32_t offset, uint32_t width, int isWrite, uint32_t *value) {
  uint32_t word = offset / 4;
  uint32_t shift = 8 * (offset % 4);
  uint32_t mask = width_mask(width) << shift;
  uint32_t whole = 0;
  HRESULT result = OK;
  if (!isWrite || width != 4) result = read_word(device, word, &whole);
  if (!isWrite) {
    *value = (whole & mask) >> shift;
    return result;
  }
  return write_word(device, word, (whole & ~mask) | ((*value << shift) & mask));
}

/* The flag of HDV_DOORBELL_FLAGS that stands for a width. */
static uint64_t size_flag(uint32_t width) { return width == 8 ? 4 : width == 4 ? 3 : width; }

static int rings(const Doorbell *bell, uint32_t bar, uint64_t offset, uint32_t width, uint64_t value) {
  if (bell->bar != bar) return 0;
  if (bell->isPage) return bell->offset == offset / PAGE_BYTES;
  uint64_t size = bell->flags & 0xff;
  int anyValue = (bell->flags & 0x80000000u) != 0;
  return bell->offset == offset && (size == 0 || size == size_flag(width)) && (anyValue || bell->value == value);
}

/* Serves the access without the device where a doorbell or a range has it. */
static int access_by_tricks(Device *device, uint32_t bar, uint64_t offset, uint32_t width, int isWrite, uint64_t *value) {
  if (atomic_load(&device->tricks) == 0) return 0;
  int served = 0;
  lock(&state);
  for (Doorbell *bell = isWrite ? device->doorbells : NULL; bell != NULL && !served; bell = bell->next) {
    if (!rings(bell, bar, offset, width, *value)) continue;
    signal_event(bell->event);
    served = 1;
  }
  for (Range *range = device->ranges; range != NULL && !served; range = range->next) {
    uint64_t start = range->page * PAGE_BYTES;
    if (range->bar != bar || offset < start || offset + width > start + range->pages * PAGE_BYTES) continue;
    uint8_t *at = range->view.bytes + (offset - start);
    if (!isWrite) memcpy(value, at, width);
    else if ((range->flags & 1) != 0) memcpy(at, value, width);
    served = 1;
  }
  unlock(&state);
  return served;
}

static HRESULT access_bar(Device *device, uint32_t bar, uint64_t offset, uint32_t width, int isWrite, uint64_t *value) {
  if (!isWrite) *value = 0;
  if (access_by_tricks(device, bar, offset, width, isWrite, value)) return OK;
  return isWrite ? call_write_memory(device, bar, offset, width, *value)
                 : call_read_memory(device, bar, offset, width, value);
}

static int is_width(uint32_t width, int isWide) {
  return width == 1 || width == 2 || width == 4 || (isWide && width == 8);
}

/* ---- Single accesses, each on a thread of the pool ---- */

typedef struct {
  Device *device;
  uint32_t bar;
  uint64_t offset;
  uint32_t width;
  int isWrite;
  uint64_t *value;
  HRESULT result;
} Access;

static void access_bar_step(void *argument) {
  Access *access = argument;
  access->result =
      access_bar(access->device, access->bar, access->offset, access->width, access->isWrite, access->value);
}

static void access_config_step(void *argument) {
  Access *access = argument;
  uint32_t value = (uint32_t)*access->value;
  access->result = access_config(access->device, (uint32_t)access->offset, access->width, access->isWrite, &value);
  *access->value = value;
}

/* One access to a BAR, also where no memory is decoded. The result is that of the device's callback. */
STAND_IN_EXPORT HRESULT StandInGuestBar(const wchar_t *systemId, UINT32 slot, UINT32 bar, UINT64 offset, UINT32 width,
                                        UINT32 isWrite, UINT64 *value) {
  if (!is_width(width, 1) || bar >= BARS) return BAD_ARGUMENT;
  Device *device = enter_slot(systemId, slot);
  if (device == NULL || offset + width > device->barSize[bar]) {
    if (device != NULL) leave(device);
    if (!isWrite) *value = width == 8 ? UINT64_MAX : width_mask(width);
    return NOT_FOUND;
  }
  Access access = {device, bar, offset, width, isWrite != 0, value, OK};
  on_device_thread(access_bar_step, &access);
  leave(device);
  return access.result;
}

/* One access to config space; the platform widens it, and keeps the registers that it does not pass on. */
STAND_IN_EXPORT HRESULT StandInGuestConfig(const wchar_t *systemId, UINT32 slot, UINT32 offset, UINT32 width,
                                           UINT32 isWrite, UINT64 *value) {
  if (!is_width(width, 0) || offset % width != 0 || offset + width > 4096) return BAD_ARGUMENT;
  Device *device = enter_slot(systemId, slot);
  if (device == NULL) {
    if (!isWrite) *value = width_mask(width);
    return NOT_FOUND;
  }
  Access access = {device, 0, offset, width, isWrite != 0, value, OK};
  on_device_thread(access_config_step, &access);
  leave(device);
  return access.result;
}

/* ---- Enumeration, memory, messages ---- */

/* Numbers for one function in what StandInGuestFunctions writes: slot, then address and size of each BAR. */
enum { FUNCTION_WORDS = 1 + 2 * BARS };

/* The functions of a machine. @returns how many there are, at most `capacity` written */
STAND_IN_EXPORT UINT32 StandInGuestFunctions(const wchar_t *systemId, UINT64 *words, UINT32 capacity) {
  uint32_t count = 0;
  lock(&state);
  Machine *machine = find_machine(systemId);
  for (uint32_t slot = 1; machine != NULL && slot <= machine->slots; slot++) {
    for (Device *device = devices; device != NULL; device = device->next) {
      int was = atomic_load(&device->state);
      int isThere = was == STARTED || was == STOPPED;
      if (device->host->machine != machine || device->slot != slot || !isThere) continue;
      if (count < capacity) {
        UINT64 *at = words + count * FUNCTION_WORDS;
        at[0] = slot;
        for (uint32_t i = 0; i < BARS; i++) {
          at[1 + 2 * i] = device->barGpa[i];
          at[2 + 2 * i] = device->barSize[i];
        }
      }
      count++;
    }
  }
  unlock(&state);
  return count;
}

/* Reads or writes guest memory as a processor does. */
STAND_IN_EXPORT HRESULT StandInGuestMemory(const wchar_t *systemId, UINT64 gpa, UINT64 bytes, UINT32 isWrite,
                                           BYTE *buffer) {
  HRESULT result = BAD_ADDRESS;
  lock(&state);
  Machine *machine = find_machine(systemId);
  uint8_t *at = machine == NULL ? NULL : guest_bytes(machine, gpa, bytes);
  if (at != NULL) {
    if (isWrite) memcpy(at, buffer, bytes);
    else memcpy(buffer, at, bytes);
    result = OK;
  }
  unlock(&state);
  return result;
}

/* Zeroed pages, never given out before; `isHigh`: above 4 GiB. 0 when there are none. */
STAND_IN_EXPORT UINT64 StandInGuestAllocate(const wchar_t *systemId, UINT64 bytes, UINT32 isHigh) {
  uint64_t gpa = 0;
  bytes = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
  lock(&state);
  Machine *machine = need_machine(systemId);
  if (machine != NULL) {
    uint64_t *next = isHigh ? &machine->nextHigh : &machine->nextLow;
    if (store_offset(machine, *next, bytes) != UINT64_MAX) {
      gpa = *next;
      *next += bytes;
    }
  }
  unlock(&state);
  return gpa;
}

/*
 * Takes the messages that have arrived, three numbers each (slot, address, data), waiting up to `timeoutMs` for the
 * first. @returns how many
 */
STAND_IN_EXPORT UINT32 StandInGuestMessages(const wchar_t *systemId, UINT32 timeoutMs, UINT64 *words, UINT32 capacity) {
  uint64_t until = now_ms() + timeoutMs;
  uint32_t count = 0;
  lock(&state);
  for (;;) {
    Machine *machine = find_machine(systemId);
    if (machine == NULL) break;
    if (machine->messageCount > 0) {
      count = machine->messageCount < capacity ? machine->messageCount : capacity;
      for (uint32_t i = 0; i < count; i++) {
        words[3 * i] = machine->messages[i].slot;
        words[3 * i + 1] = machine->messages[i].address;
        words[3 * i + 2] = machine->messages[i].data;
      }
      machine->messageCount -= count;
      memmove(machine->messages, machine->messages + count, machine->messageCount * sizeof(Message));
      break;
    }
    if (!wait_signal(&changed, &state, until)) break;
  }
  unlock(&state);
  return count;
}

/* ---- Many accesses from native threads ---- */

/* What StandInGuestHammer does. */
enum { HAMMER_READS = 1, HAMMER_WRITES = 2, HAMMER_CONFIG = 4, HAMMER_CHECK = 8 };
/* What it tells: accesses, those whose callback failed, reads of all ones, reads that gave other bytes than were written,
 * accesses that found no device, slowest in ns. */
enum { HAMMER_DONE, HAMMER_FAILED, HAMMER_ONES, HAMMER_WRONG, HAMMER_GONE, HAMMER_SLOWEST, HAMMER_NUMBERS };

typedef struct {
  const wchar_t *systemId;
  uint32_t slot;
  uint32_t bar;
  uint64_t offset;
  uint64_t length;
  uint32_t accesses;
  uint64_t seed;
  uint32_t what;
  uint64_t numbers[HAMMER_NUMBERS];
  UINT32 *nanoseconds;
  uint32_t width;
  uint32_t pauseMs;
  atomic_int *running;
} Hammer;

static uint64_t next_random(uint64_t *seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed;
}

/* Register that has no effect: Interrupt Line. */
enum { INTERRUPT_LINE = 0x3c };

static void hammer_config(const Hammer *hammer, Device *device, uint64_t random, uint64_t *numbers) {
  int isWrite = (hammer->what & HAMMER_WRITES) != 0 && (random & 4) != 0;
  uint32_t width = isWrite ? 1 : 1u << (random & 1 ? 2 : (random >> 1) & 1);
  uint32_t offset = isWrite ? INTERRUPT_LINE : (uint32_t)((random >> 8) % (256 / width)) * width;
  uint32_t value = (uint32_t)(random >> 32) & 0xff;
  HRESULT result = access_config(device, offset, width, isWrite, &value);
  if (HAS_FAILED(result)) numbers[HAMMER_FAILED]++;
  if (!isWrite && value == width_mask(width)) numbers[HAMMER_ONES]++;
}

static void hammer_bar(const Hammer *hammer, Device *device, uint64_t random, uint8_t *written, uint64_t *numbers) {
  uint32_t width = 1u << (random & 3);
  uint64_t offset = ((random >> 8) % (hammer->length / width)) * width;
  int isWrite = hammer->what & HAMMER_WRITES && (!(hammer->what & HAMMER_READS) || (random & 4));
  uint64_t value = isWrite ? random * 0x9e3779b97f4a7c15ull : 0;
  if (width < 8) value &= (1ull << (8 * width)) - 1;
  uint64_t ones = width == 8 ? UINT64_MAX : (1ull << (8 * width)) - 1;
  HRESULT result = access_bar(device, hammer->bar, hammer->offset + offset, width, isWrite, &value);
  if (HAS_FAILED(result)) numbers[HAMMER_FAILED]++;
  if (isWrite) memcpy(written + offset, &value, width);
  else if (value == ones) numbers[HAMMER_ONES]++;
  if (!isWrite && memcmp(written + offset, &value, width) != 0) numbers[HAMMER_WRONG]++;
}

static void hammer_thread(void *argument) {
  Hammer *hammer = argument;
  uint8_t *written = calloc(1, hammer->length + 8);
  uint64_t seed = hammer->seed;
  for (uint32_t i = 0; i < hammer->accesses; i++) {
    uint64_t random = next_random(&seed);
    Device *device = enter_slot(hammer->systemId, hammer->slot);
    if (device == NULL) {
      hammer->numbers[HAMMER_GONE]++;
      break;
    }
    uint64_t start = now_ns();
    if (hammer->nanoseconds != NULL) {
      uint64_t value = random;
      HRESULT result = access_bar(device, hammer->bar, hammer->offset, hammer->width,
                                  (hammer->what & HAMMER_WRITES) != 0, &value);
      if (HAS_FAILED(result)) hammer->numbers[HAMMER_FAILED]++;
    } else if (hammer->what & HAMMER_CONFIG && (random >> 60) == 0) {
      hammer_config(hammer, device, random, hammer->numbers);
    } else {
      hammer_bar(hammer, device, random, written, hammer->numbers);
    }
    uint64_t took = now_ns() - start;
    leave(device);
    hammer->numbers[HAMMER_DONE]++;
    if (took > hammer->numbers[HAMMER_SLOWEST]) hammer->numbers[HAMMER_SLOWEST] = took;
    if (hammer->nanoseconds != NULL) hammer->nanoseconds[i] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
    if (hammer->pauseMs > 0) sleep_ms(hammer->pauseMs);
  }
  free(written);
  atomic_fetch_sub(hammer->running, 1);
}

static HRESULT run_hammers(Hammer *hammers, uint32_t count) {
  atomic_int running = (int)count;
  for (uint32_t i = 0; i < count; i++) {
    hammers[i].running = &running;
    if (!start_thread(hammer_thread, &hammers[i])) atomic_fetch_sub(&running, 1);
  }
  lock(&state);
  while (atomic_load(&running) > 0) wait_signal(&changed, &state, now_ms() + 1);
  unlock(&state);
  return OK;
}

/*
 * Random accesses of every width by `threads` native threads at once, each in a part of its own of the bytes
 * [offset, offset + length) of a BAR, which are memory that starts as zeros where HAMMER_WRONG is to mean something.
 */
STAND_IN_EXPORT HRESULT StandInGuestHammer(const wchar_t *systemId, UINT32 slot, UINT32 bar, UINT64 offset,
                                           UINT64 length, UINT32 threadCount, UINT32 accesses, UINT64 seed, UINT32 what,
                                           UINT64 *numbers) {
  if (threadCount == 0 || length / threadCount < 8) return BAD_ARGUMENT;
  Hammer *hammers = calloc(threadCount, sizeof *hammers);
  uint64_t part = length / threadCount / 8 * 8;
  for (uint32_t i = 0; i < threadCount; i++) {
    hammers[i] = (Hammer){.systemId = systemId, .slot = slot, .bar = bar, .offset = offset + i * part, .length = part,
                          .accesses = accesses, .seed = (seed + i) * 0x9e3779b97f4a7c15ull | 1, .what = what};
  }
  HRESULT result = run_hammers(hammers, threadCount);
  memset(numbers, 0, HAMMER_NUMBERS * sizeof *numbers);
  for (uint32_t i = 0; i < threadCount; i++) {
    for (int n = 0; n < HAMMER_SLOWEST; n++) numbers[n] += hammers[i].numbers[n];
    if (hammers[i].numbers[HAMMER_SLOWEST] > numbers[HAMMER_SLOWEST]) {
      numbers[HAMMER_SLOWEST] = hammers[i].numbers[HAMMER_SLOWEST];
    }
  }
  free(hammers);
  return result;
}

/*
 * The same access again and again by `threads` native threads at once, each time measured: `nanoseconds` gets
 * `accesses` numbers for each thread. @param elapsedNs from the first access to the end of the last
 */
STAND_IN_EXPORT HRESULT StandInGuestMeasure(const wchar_t *systemId, UINT32 slot, UINT32 bar, UINT64 offset,
                                            UINT32 width, UINT32 isWrite, UINT32 threadCount, UINT32 accesses,
                                            UINT32 pauseMs, UINT32 *nanoseconds, UINT64 *elapsedNs) {
  if (threadCount == 0 || !is_width(width, 1)) return BAD_ARGUMENT;
  Hammer *hammers = calloc(threadCount, sizeof *hammers);
  for (uint32_t i = 0; i < threadCount; i++) {
    hammers[i] = (Hammer){.systemId = systemId, .slot = slot, .bar = bar, .offset = offset, .accesses = accesses,
                          .seed = i + 1, .what = isWrite ? HAMMER_WRITES : HAMMER_READS, .width = width,
                          .pauseMs = pauseMs, .nanoseconds = nanoseconds + (size_t)i * accesses};
  }
  uint64_t start = now_ns();
  HRESULT result = run_hammers(hammers, threadCount);
  *elapsedNs = now_ns() - start;
  for (uint32_t i = 0; i < threadCount; i++) {
    if (hammers[i].numbers[HAMMER_FAILED] > 0) result = E_FAIL_;
    if (hammers[i].numbers[HAMMER_GONE] > 0) result = NOT_FOUND;
  }
  free(hammers);
  return result;
}

/* ---- What no platform should do, and tests want to see ---- */

/* Native threads that are inside a callback of any device. */
STAND_IN_EXPORT UINT32 StandInThreadsInside(void) { return (UINT32)atomic_load(&insideAll); }

typedef struct {
  Device *device;
  UINT32 *results;
  atomic_int *running;
} LateCalls;

static void late_thread(void *argument) {
  LateCalls *late = argument;
  Device *device = late->device;
  const HDV_PCI_DEVICE_INTERFACE *table = device->table;
  void *context = device->context;
  const wchar_t *none = L"";
  Details details;
  UINT32 word = 0;
  BYTE bytes[8] = {0};
  UINT32 results[10] = {0};
  results[0] = (UINT32)table->Initialize(context);
  table->Teardown(context);
  results[2] = (UINT32)table->SetConfiguration(context, 1, &none);
  results[3] = (UINT32)table->GetDetails(context, &details.pnp, BARS, details.probed);
  results[4] = (UINT32)table->Start(context);
  table->Stop(context);
  results[6] = (UINT32)table->ReadConfigSpace(context, 0, &word);
  results[7] = (UINT32)table->WriteConfigSpace(context, 4, 6);
  results[8] = (UINT32)table->ReadInterceptedMemory(context, 0, 0, 4, bytes);
  results[9] = (UINT32)table->WriteInterceptedMemory(context, 0, 0, 4, bytes);
  if (late->results != NULL) memcpy(late->results, results, sizeof results);
  atomic_fetch_sub(late->running, 1);
}

/*
 * Calls the whole table of a device that was torn down, by `threads` native threads at once. `results` gets ten numbers,
 * in the order of the table; 0 for the two without a result.
 */
STAND_IN_EXPORT HRESULT StandInLateCalls(const GUID *instanceId, UINT32 threadCount, UINT32 *results) {
  Device *found = NULL;
  lock(&state);
  for (Device *device = devices; device != NULL && found == NULL; device = device->next) {
    int isOver = atomic_load(&device->state) == DEAD || !device->host->alive;
    if (isOver && same_guid(&device->instanceId, instanceId)) found = device;
  }
  unlock(&state);
  if (found == NULL) return NOT_FOUND;
  atomic_int running = (int)threadCount;
  LateCalls *late = calloc(threadCount, sizeof *late);
  for (uint32_t i = 0; i < threadCount; i++) {
    late[i] = (LateCalls){found, i == 0 ? results : NULL, &running};
    if (!start_thread(late_thread, &late[i])) atomic_fetch_sub(&running, 1);
  }
  lock(&state);
  while (atomic_load(&running) > 0) wait_signal(&changed, &state, now_ms() + 1);
  unlock(&state);
  free(late);
  return OK;
}

#endif
