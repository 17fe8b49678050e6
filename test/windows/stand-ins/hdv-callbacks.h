/*
 * How the stand-in calls a device's table: on threads of its own, several at once, never while it holds a lock, with
 * buffers and strings that are good for the call only.
 */
#ifndef HDV_CALLBACKS_H
#define HDV_CALLBACKS_H

#include "hdv-machine.h"

/* What lies behind every buffer that a device may write to; it must not change. */
#define CANARY 0xa5c3965a3c69b41eull
#define SCRIBBLE 0xdd

/* ---- Threads ---- */

typedef struct Job {
  struct Job *next;
  void (*run)(void *);
  void *argument;
  int done;
} Job;

enum { MAX_THREADS = 256 };

static Job *firstJob;
static Job **lastJob = &firstJob;
static int idleThreads;
static int threads;

static void serve_jobs(void *unused) {
  (void)unused;
  lock(&state);
  for (;;) {
    while (firstJob == NULL) {
      idleThreads++;
      wait_signal(&changed, &state, UINT64_MAX);
      idleThreads--;
    }
    Job *job = firstJob;
    firstJob = job->next;
    if (firstJob == NULL) lastJob = &firstJob;
    unlock(&state);
    job->run(job->argument);
    lock(&state);
    job->done = 1;
    signal_all(&changed);
  }
}

/*
 * Runs work on a thread of the pool, and waits for it. The pool grows: a device that never answers keeps its threads and
 * nothing else. State is not locked.
 */
static void on_device_thread(void (*run)(void *), void *argument) {
  Job job = {NULL, run, argument, 0};
  lock(&state);
  *lastJob = &job;
  lastJob = &job.next;
  int waiting = 0;
  for (Job *queued = firstJob; queued != NULL; queued = queued->next) waiting++;
  if (idleThreads < waiting && threads < MAX_THREADS && start_thread(serve_jobs, NULL)) threads++;
  signal_all(&changed);
  while (!job.done) wait_signal(&changed, &state, UINT64_MAX);
  unlock(&state);
}

/* ---- The ten callbacks ---- */

static void enter(Device *device) {
  atomic_fetch_add(&device->inside, 1);
  atomic_fetch_add(&insideAll, 1);
}

static void leave(Device *device) {
  atomic_fetch_sub(&device->inside, 1);
  atomic_fetch_sub(&insideAll, 1);
}

static void check_table(Device *device) {
  if (memcmp(device->table, &device->asCreated, sizeof device->asCreated) == 0) return;
  RecorderNote(subject_of(device->host), 0, "MISUSE device table: it changed after HdvCreateDeviceInstance of %h",
              device->handle);
  memcpy(&device->asCreated, device->table, sizeof device->asCreated);
}

static HRESULT call_plain(Device *device, const char *name, HRESULT (CALLBACK *callback)(void *)) {
  check_table(device);
  uint64_t line = RecorderBegin(subject_of(device->host), 0, "callback %a(%h)", name, device->handle);
  enter(device);
  HRESULT result = callback(device->context);
  leave(device);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

static void call_void(Device *device, const char *name, void (CALLBACK *callback)(void *)) {
  check_table(device);
  uint64_t line = RecorderBegin(subject_of(device->host), 0, "callback %a(%h)", name, device->handle);
  enter(device);
  callback(device->context);
  leave(device);
  RecorderEndPlain(line, NULL);
}

static HRESULT call_set_configuration(Device *device, uint32_t count, const wchar_t *const *values) {
  wchar_t *copies[MAX_VALUES + 1];
  wchar_t joined[512];
  uint32_t length = 0;
  if (count > MAX_VALUES) count = MAX_VALUES;
  for (uint32_t i = 0; i < count; i++) {
    copies[i] = wide_copy(values[i]);
    for (const wchar_t *c = i == 0 ? values[i] : L"\n"; *c != 0 && length < 511; c++) joined[length++] = *c;
    for (const wchar_t *c = i == 0 ? L"" : values[i]; *c != 0 && length < 511; c++) joined[length++] = *c;
  }
  joined[length] = 0;
  check_table(device);
  uint64_t line = RecorderBegin(subject_of(device->host), 0, "callback SetConfiguration(%h, %i, %s)", device->handle,
                               count, count == 0 ? NULL : joined);
  enter(device);
  HRESULT result = device->table->SetConfiguration(device->context, count, (const wchar_t *const *)copies);
  leave(device);
  RecorderEnd(line, (uint32_t)result, NULL);
  for (uint32_t i = 0; i < count; i++) {
    memset(copies[i], SCRIBBLE, wide_length(copies[i]) * sizeof(wchar_t));
    free(copies[i]);
  }
  memset(copies, SCRIBBLE, sizeof copies);
  return result;
}

typedef struct {
  HDV_PCI_PNP_ID pnp;
  uint32_t behindPnp;
  UINT32 probed[BARS];
  uint64_t behindProbed;
} Details;

static HRESULT call_get_details(Device *device, Details *details) {
  memset(details, 0, sizeof *details);
  details->behindPnp = (uint32_t)CANARY;
  details->behindProbed = CANARY;
  check_table(device);
  uint64_t line = RecorderBegin(subject_of(device->host), 0, "callback GetDetails(%h, %i)", device->handle, BARS);
  enter(device);
  HRESULT result = device->table->GetDetails(device->context, &details->pnp, BARS, details->probed);
  leave(device);
  RecorderEnd(line, (uint32_t)result, "%b, %b", &details->pnp, (uint32_t)sizeof details->pnp, details->probed,
             (uint32_t)sizeof details->probed);
  if (details->behindPnp != (uint32_t)CANARY || details->behindProbed != CANARY) {
    RecorderNote(subject_of(device->host), 0, "MISUSE GetDetails: %h wrote past what it was given", device->handle);
  }
  return result;
}

static HRESULT call_read_config(Device *device, uint32_t offset, uint32_t *value) {
  struct { UINT32 value; uint32_t behind; } answer = {0xffffffffu, (uint32_t)CANARY};
  enter(device);
  HRESULT result = device->table->ReadConfigSpace(device->context, offset, &answer.value);
  leave(device);
  if (answer.behind != (uint32_t)CANARY) {
    RecorderNote(subject_of(device->host), 0, "MISUSE ReadConfigSpace: %h wrote past its value", device->handle);
  }
  *value = HAS_FAILED(result) ? 0xffffffffu : answer.value;
  if (isLoggingAccesses) {
    RecorderNote(subject_of(device->host), 0, "callback ReadConfigSpace(%h, %d) = %d, %d", device->handle, offset,
                (uint32_t)result, *value);
  }
  return result;
}

static HRESULT call_write_config(Device *device, uint32_t offset, uint32_t value) {
  enter(device);
  HRESULT result = device->table->WriteConfigSpace(device->context, offset, value);
  leave(device);
  if (isLoggingAccesses) {
    RecorderNote(subject_of(device->host), 0, "callback WriteConfigSpace(%h, %d, %d) = %d", device->handle, offset,
                value, (uint32_t)result);
  }
  return result;
}

static HRESULT call_read_memory(Device *device, uint32_t bar, uint64_t offset, uint32_t width, uint64_t *value) {
  struct { BYTE value[16]; } answer;
  uint64_t canary = CANARY;
  memset(answer.value, 0xff, 8);
  memcpy(answer.value + width, &canary, 8);
  enter(device);
  HRESULT result =
      device->table->ReadInterceptedMemory(device->context, (HDV_PCI_BAR_SELECTOR)bar, offset, width, answer.value);
  leave(device);
  if (memcmp(answer.value + width, &canary, 8) != 0) {
    RecorderNote(subject_of(device->host), 0, "MISUSE ReadInterceptedMemory: %h wrote past its value", device->handle);
  }
  *value = 0;
  if (HAS_FAILED(result)) memset(value, 0xff, width);
  else memcpy(value, answer.value, width);
  if (isLoggingAccesses) {
    RecorderNote(subject_of(device->host), 0, "callback ReadInterceptedMemory(%h, %i, %x, %i) = %d, %x",
                device->handle, bar, offset, width, (uint32_t)result, *value);
  }
  return result;
}

static HRESULT call_write_memory(Device *device, uint32_t bar, uint64_t offset, uint32_t width, uint64_t value) {
  BYTE bytes[8];
  memcpy(bytes, &value, 8);
  enter(device);
  HRESULT result =
      device->table->WriteInterceptedMemory(device->context, (HDV_PCI_BAR_SELECTOR)bar, offset, width, bytes);
  leave(device);
  if (isLoggingAccesses) {
    RecorderNote(subject_of(device->host), 0, "callback WriteInterceptedMemory(%h, %i, %x, %i, %x) = %d",
                device->handle, bar, offset, width, value, (uint32_t)result);
  }
  memset(bytes, SCRIBBLE, sizeof bytes);
  return result;
}

/* ---- Life of a device in a machine ---- */

/* Config word of the command register, of BAR i. */
enum { COMMAND_WORD = 1, FIRST_BAR_WORD = 4 };

static void write_bar_register(Device *device, uint32_t bar, uint32_t value) {
  device->shadow[FIRST_BAR_WORD + bar] = value;
  if (device->host->machine->forwards) call_write_config(device, 0x10 + 4 * bar, value);
}

/* What a device asked for: known from its details on, whatever of it has a place already. */
static void size_bars(Device *device) {
  for (uint32_t i = 0; i < BARS; i++) {
    uint32_t probed = device->probed[i];
    if (probed == 0 || (probed & 1) != 0) continue;
    int is64 = (probed & 6) == 4 && i + 1 < BARS;
    uint64_t mask = probed & ~15u;
    if (is64) mask |= (uint64_t)device->probed[i + 1] << 32;
    else mask |= 0xffffffff00000000ull;
    device->barSize[i] = ~mask + 1;
    if (is64) i++;
  }
}

/* Where the platform has BARs, in registers that it keeps or passes on. */
static void place_bars(Device *device) {
  Machine *machine = device->host->machine;
  for (uint32_t i = 0; i < BARS; i++) {
    uint32_t probed = device->probed[i];
    uint64_t size = device->barSize[i];
    if (size == 0) continue;
    int is64 = (probed & 6) == 4 && i + 1 < BARS;
    uint64_t align = size < PAGE_BYTES ? PAGE_BYTES : size;
    lock(&state);
    uint64_t *next = is64 ? &machine->nextMmio64 : &machine->nextMmio32;
    uint64_t gpa = (*next + align - 1) / align * align;
    *next = gpa + size;
    device->barGpa[i] = gpa;
    unlock(&state);
    if (machine->forwards) {
      call_write_config(device, 0x10 + 4 * i, 0xffffffffu);
      if (is64) call_write_config(device, 0x14 + 4 * i, 0xffffffffu);
    }
    write_bar_register(device, i, (uint32_t)gpa | (probed & 15));
    if (is64) write_bar_register(device, ++i, (uint32_t)(gpa >> 32));
  }
}

static void stop_device(Device *device) {
  call_void(device, "Stop", device->table->Stop);
  atomic_store(&device->state, STOPPED);
}

/* Threads that are still inside go on for as long as they like: Teardown waits for them, as the last callback. */
static void tear_down_device(Device *device) {
  atomic_store(&device->state, DEAD);
  lock(&state);
  while (atomic_load(&device->inside) > 0) wait_signal(&changed, &state, now_ms() + 2);
  unlock(&state);
  call_void(device, "Teardown", device->table->Teardown);
}

/* Unmaps what the device has in the machine. */
static void withdraw_mappings(Device *device) {
  lock(&state);
  Range *ranges = device->ranges;
  Doorbell *doorbells = device->doorbells;
  device->ranges = NULL;
  device->doorbells = NULL;
  atomic_store(&device->tricks, 0);
  unlock(&state);
  while (ranges != NULL) {
    Range *next = ranges->next;
    close_view(&ranges->view);
    free(ranges);
    ranges = next;
  }
  while (doorbells != NULL) {
    Doorbell *next = doorbells->next;
    close_duplicate(doorbells->event);
    free(doorbells);
    doorbells = next;
  }
}

typedef struct {
  Device *device;
  uint32_t count;
  const wchar_t *const *values;
  HRESULT result;
} BringUp;

static void initialize_step(void *argument) {
  BringUp *step = argument;
  step->result = call_plain(step->device, "Initialize", step->device->table->Initialize);
}

static void configure_step(void *argument) {
  BringUp *step = argument;
  step->result = call_set_configuration(step->device, step->count, step->values);
}

static void details_step(void *argument) {
  BringUp *step = argument;
  Device *device = step->device;
  Details first, second;
  step->result = call_get_details(device, &first);
  if (HAS_FAILED(step->result)) return;
  step->result = call_get_details(device, &second);
  if (HAS_FAILED(step->result)) return;
  if (memcmp(&first, &second, sizeof first) != 0) {
    RecorderNote(subject_of(device->host), 0, "MISUSE GetDetails: %h said another thing the second time",
                device->handle);
  }
  device->pnp = second.pnp;
  memcpy(device->probed, second.probed, sizeof device->probed);
  size_bars(device);
}

static void start_step(void *argument) {
  BringUp *step = argument;
  step->result = call_plain(step->device, "Start", step->device->table->Start);
}

static void place_step(void *argument) {
  BringUp *step = argument;
  place_bars(step->device);
}

static void stop_step(void *argument) {
  stop_device(((BringUp *)argument)->device);
}

static void tear_down_step(void *argument) {
  tear_down_device(((BringUp *)argument)->device);
}

/* The device leaves its machine, in the state that it is in. */
static void take_down(Device *device) {
  BringUp step = {device, 0, NULL, OK};
  int was = atomic_load(&device->state);
  if (was == STARTED) on_device_thread(stop_step, &step);
  if (was != CREATED && was != DEAD) on_device_thread(tear_down_step, &step);
  withdraw_mappings(device);
}

/* Each step on another thread of the pool. */
static HRESULT bring_up(Device *device, uint32_t count, const wchar_t *const *values) {
  BringUp step = {device, count, values, OK};
  lock(&state);
  device->slot = ++device->host->machine->slots;
  unlock(&state);
  atomic_store(&device->state, INITIALIZED);
  on_device_thread(initialize_step, &step);
  if (!HAS_FAILED(step.result)) on_device_thread(configure_step, &step);
  if (!HAS_FAILED(step.result)) on_device_thread(details_step, &step);
  if (!HAS_FAILED(step.result)) on_device_thread(start_step, &step);
  if (HAS_FAILED(step.result)) {
    HRESULT result = step.result;
    take_down(device);
    return result;
  }
  atomic_store(&device->state, STARTED);
  on_device_thread(place_step, &step);
  return OK;
}

#endif
