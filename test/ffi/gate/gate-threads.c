/*
 * Native threads that call a device table as a device host does, and check what they get: a library for tests and
 * benchmarks. The device on the other side is a memory: what is written to BAR 0 and to config space can be read again.
 */
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#define EXPORT __declspec(dllexport)
#else
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <time.h>
#define EXPORT __attribute__((visibility("default")))
#endif
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* HDV_PCI_DEVICE_INTERFACE */
struct table {
  uint32_t version;
  int32_t (*initialize)(void *);
  void (*teardown)(void *);
  int32_t (*set_configuration)(void *, uint32_t, const uint16_t *const *);
  int32_t (*get_details)(void *, uint8_t *, uint32_t, uint32_t *);
  int32_t (*start)(void *);
  void (*stop)(void *);
  int32_t (*read_config)(void *, uint32_t, uint32_t *);
  int32_t (*write_config)(void *, uint32_t, uint32_t);
  int32_t (*read)(void *, int32_t, uint64_t, uint64_t, uint8_t *);
  int32_t (*write)(void *, int32_t, uint64_t, uint64_t, const uint8_t *);
};

/* What the threads of a run have done; JavaScript sees it as words. */
struct run {
  uint32_t live;    /* threads that have not ended */
  uint32_t entered; /* calls begun */
  uint32_t done;    /* calls that returned */
  uint32_t failed;  /* of these: reads of all ones where something else is known to be */
  uint32_t wrong;   /* of these: anything else that is not right */
  uint32_t stop;    /* 1: end */
  uint32_t calls;   /* per thread; 0: until stopped */
  uint32_t pause;   /* ns between calls */
  uint32_t kind;    /* 0: all sorts of calls, 1: reads of 4 bytes at 0, with times */
  uint32_t threads;
  const struct table *table;
  void *context;
  uint32_t *ns; /* time of each call, `calls` for each thread */
  uint64_t begun;
  uint64_t ended; /* by the clock of `begun`; when the last thread ended */
};

struct thread {
  struct run *run;
  uint32_t index;
};

static uint64_t now(void) {
#ifdef _WIN32
  LARGE_INTEGER count, frequency;
  QueryPerformanceCounter(&count);
  QueryPerformanceFrequency(&frequency);
  return (uint64_t)((double)count.QuadPart * 1e9 / (double)frequency.QuadPart);
#else
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

static void pause_ns(uint32_t ns) {
  if (ns == 0) return;
#ifdef _WIN32
  if (ns >= 1000000) Sleep(ns / 1000000);
  else for (uint64_t end = now() + ns; now() < end;) YieldProcessor();
#else
  if (ns >= 1000000) {
    struct timespec t = {0, ns};
    nanosleep(&t, NULL);
  } else for (uint64_t end = now() + ns; now() < end;) __builtin_ia32_pause();
#endif
}

static uint32_t next(uint32_t *random) {
  *random ^= *random << 13;
  *random ^= *random >> 17;
  return *random ^= *random << 5;
}

static void add(uint32_t *word) { __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST); }

static int all_ones(const uint8_t *bytes, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) if (bytes[i] != 0xff) return 0;
  return 1;
}

/* Counts a call that returned `result`; `right` when what it brought is right, `ones` when it is all ones. */
static void count(struct run *run, int32_t result, int right, int ones) {
  if (result == 0 && !right && ones) add(&run->failed);
  else if (result != 0 || !right) add(&run->wrong);
  add(&run->done);
}

/* What a thread knows of its own 64 bytes of BAR 0 and of its dword of config space. */
struct shadow {
  uint8_t bytes[64];
  uint8_t known[64];
  uint32_t config;
  int config_known;
};

/* Are all bytes read what they should be, as far as that is known? */
static int matches(const struct shadow *shadow, uint32_t at, const uint8_t *bytes, uint32_t width) {
  for (uint32_t i = 0; i < width; i++)
    if (shadow->known[at + i] && shadow->bytes[at + i] != bytes[i]) return 0;
  return 1;
}

/* Reads or writes, with any width, what belongs to this thread. */
static void call_something(struct run *run, uint32_t index, uint32_t *random, struct shadow *shadow) {
  uint32_t choice = next(random);
  uint32_t width = 1u << (choice >> 8) % 4;
  uint32_t at = (choice >> 12) % (64 / width) * width;
  uint64_t offset = 0x100000000u + 64 * index + at;
  uint8_t bytes[8];
  uint32_t value;
  int32_t result;
  add(&run->entered);
  switch (choice % 8) {
    case 0: case 1: case 2:
      memset(bytes, 0x55, sizeof bytes);
      result = run->table->read(run->context, 0, offset, width, bytes);
      count(run, result, matches(shadow, at, bytes, width), all_ones(bytes, width));
      break;
    case 3: case 4: case 5:
      for (uint32_t i = 0; i < width; i++) bytes[i] = (uint8_t)next(random);
      result = run->table->write(run->context, 0, offset, width, bytes);
      if (result == 0) {
        memcpy(shadow->bytes + at, bytes, width);
        memset(shadow->known + at, 1, width);
      }
      count(run, result, 1, 1);
      break;
    case 6:
      value = 0x55555555;
      result = run->table->read_config(run->context, 4 * index, &value);
      count(run, result, !shadow->config_known || value == shadow->config, value == 0xffffffff);
      break;
    default:
      value = next(random);
      result = run->table->write_config(run->context, 4 * index, value);
      if (result == 0) {
        shadow->config = value;
        shadow->config_known = 1;
      }
      count(run, result, 1, 1);
  }
}

static void work(struct thread *thread) {
  struct run *run = thread->run;
  uint32_t index = thread->index;
  free(thread);
  uint32_t random = 0x9e3779b9u * (index + 1);
  struct shadow shadow = {0};
  for (uint32_t i = 0; (run->calls == 0 || i < run->calls) && !__atomic_load_n(&run->stop, __ATOMIC_SEQ_CST); i++) {
    if (run->kind == 0) {
      call_something(run, index, &random, &shadow);
    } else {
      uint8_t bytes[4];
      uint64_t begun = now();
      add(&run->entered);
      int32_t result = run->table->read(run->context, 0, 0, 4, bytes);
      uint64_t took = now() - begun;
      if (run->ns) run->ns[index * run->calls + i] = took > 0xffffffffu ? 0xffffffffu : (uint32_t)took;
      count(run, result, !all_ones(bytes, 4), all_ones(bytes, 4));
    }
    pause_ns(run->pause);
  }
  __atomic_store_n(&run->ended, now(), __ATOMIC_SEQ_CST);
  __atomic_sub_fetch(&run->live, 1, __ATOMIC_SEQ_CST);
}

#ifdef _WIN32
static DWORD WINAPI main_of_thread(LPVOID thread) { work(thread); return 0; }
static int start(struct thread *thread) {
  HANDLE handle = CreateThread(NULL, 256 * 1024, main_of_thread, thread, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
  if (handle) CloseHandle(handle);
  return handle != NULL;
}
#else
static void *main_of_thread(void *thread) { work(thread); return NULL; }
static int start(struct thread *thread) {
  pthread_t id;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  int failed = pthread_create(&id, &attributes, main_of_thread, thread);
  pthread_attr_destroy(&attributes);
  return !failed;
}
#endif

/* Starts threads that call the table. The run is never freed: its threads may outlive whoever looks at it. */
EXPORT void *run_start(uint64_t table, uint64_t context, uint32_t threads, uint32_t calls, uint32_t pause, uint32_t kind) {
  struct run *run = calloc(1, sizeof *run);
  run->table = (const struct table *)table;
  run->context = (void *)context;
  run->threads = threads;
  run->calls = calls;
  run->pause = pause;
  run->kind = kind;
  run->live = threads;
  run->begun = now();
  if (kind == 1 && calls) run->ns = calloc((size_t)threads * calls, 4);
  for (uint32_t i = 0; i < threads; i++) {
    struct thread *thread = malloc(sizeof *thread);
    thread->run = run;
    thread->index = i;
    if (!start(thread)) {
      free(thread);
      __atomic_sub_fetch(&run->live, 1, __ATOMIC_SEQ_CST);
    }
  }
  return run;
}

EXPORT void *run_times(struct run *run) { return run->ns; }

/* Nanoseconds from the start to the end of a run whose threads have ended. */
EXPORT uint64_t run_elapsed(struct run *run) { return run->ended - run->begun; }

/* Calls one of the other callbacks on the calling thread: 0 Initialize, 1 Teardown, 4 Start, 5 Stop. */
EXPORT int32_t call_hook(uint64_t table_address, uint64_t context, uint32_t which) {
  const struct table *table = (const struct table *)table_address;
  void *ctx = (void *)context;
  switch (which) {
    case 0: return table->initialize(ctx);
    case 1: table->teardown(ctx); return 0;
    case 4: return table->start(ctx);
    case 5: table->stop(ctx); return 0;
    default: return (int32_t)0x80070057;
  }
}

EXPORT int32_t call_set_configuration(uint64_t table, uint64_t context, uint32_t count, const uint16_t **values) {
  return ((const struct table *)table)->set_configuration((void *)context, count, values);
}

EXPORT int32_t call_get_details(uint64_t table, uint64_t context, uint8_t *pnp, uint32_t count, uint32_t *bars) {
  return ((const struct table *)table)->get_details((void *)context, pnp, count, bars);
}

EXPORT int32_t call_read(uint64_t table, uint64_t context, uint32_t bar, uint64_t offset, uint64_t length, uint8_t *value) {
  return ((const struct table *)table)->read((void *)context, (int32_t)bar, offset, length, value);
}

EXPORT int32_t call_write(uint64_t table, uint64_t context, uint32_t bar, uint64_t offset, uint64_t length, const uint8_t *value) {
  return ((const struct table *)table)->write((void *)context, (int32_t)bar, offset, length, value);
}

EXPORT uint32_t table_version(uint64_t table) { return ((const struct table *)table)->version; }

/* Rings doorbells as the thread pool of Windows does. */
EXPORT void ring(uint64_t callback, uint64_t context, uint32_t times) {
  void (*ring_once)(void *, uint8_t) = (void (*)(void *, uint8_t))callback;
  for (uint32_t i = 0; i < times; i++) ring_once((void *)context, 0);
}

/* IVmDeviceHostSupport, as a device host calls it. */
struct support {
  struct {
    int32_t (*query_interface)(struct support *, const void *, void **);
    uint32_t (*add_ref)(struct support *);
    uint32_t (*release)(struct support *);
    int32_t (*register_host)(struct support *, void *, uint32_t, uint64_t *);
  } *functions;
};

EXPORT int32_t support_query(struct support *support, const uint8_t *id, uint64_t *object) {
  void *found = (void *)1;
  int32_t result = support->functions->query_interface(support, id, &found);
  *object = (uint64_t)found;
  return result;
}

EXPORT int32_t support_register(struct support *support, uint64_t host, uint32_t process, uint64_t *section) {
  /* Kept in a variable, so that this function has a frame on the stack during the call. */
  volatile int32_t result = support->functions->register_host(support, (void *)host, process, section);
  return result;
}

struct counting {
  struct support *support;
  uint32_t rounds;
  uint32_t live;
};

static void add_and_release(struct counting *counting) {
  for (uint32_t i = 0; i < counting->rounds; i++) {
    counting->support->functions->add_ref(counting->support);
    counting->support->functions->release(counting->support);
  }
  __atomic_sub_fetch(&counting->live, 1, __ATOMIC_SEQ_CST);
}

#ifdef _WIN32
static DWORD WINAPI counting_thread(LPVOID counting) { add_and_release(counting); return 0; }
#else
static void *counting_thread(void *counting) { add_and_release(counting); return NULL; }
#endif

/* Counts references up and down from four threads at once; returns when they are done. */
EXPORT uint32_t support_count(struct support *support, uint32_t rounds) {
  struct counting counting = {support, rounds, 4};
#ifdef _WIN32
  HANDLE threads[4];
  for (int i = 0; i < 4; i++) threads[i] = CreateThread(NULL, 0, counting_thread, &counting, 0, NULL);
  WaitForMultipleObjects(4, threads, TRUE, INFINITE);
  for (int i = 0; i < 4; i++) CloseHandle(threads[i]);
#else
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, counting_thread, &counting);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
#endif
  support->functions->add_ref(support);
  return support->functions->release(support);
}

/* Stands for HdvProxyDeviceHost: says what it got, and on Windows whether the stack can be walked through the caller. */
static uint64_t proxied[3];
static uint32_t walked;

#ifdef _WIN32
static int is_own(void *address) {
  HMODULE self, module;
  const DWORD flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  GetModuleHandleExA(flags, (LPCSTR)(uintptr_t)is_own, &self);
  return GetModuleHandleExA(flags, address, &module) && module == self;
}

/* Is the stack: a function of this library, called by one that is in no library, called by one of this library? */
static __attribute__((noinline)) uint32_t walk(void) {
  void *frames[3];
  return RtlCaptureStackBackTrace(1, 3, frames, NULL) == 3 && is_own(frames[0]) && !is_own(frames[1]) && is_own(frames[2]);
}
#endif

EXPORT int32_t proxy_device_host(uint64_t system, void *host, uint32_t process, uint64_t *section) {
  proxied[0] = system;
  proxied[1] = (uint64_t)host;
  proxied[2] = process;
#ifdef _WIN32
  walked = walk();
#endif
  if (process == 0) return (int32_t)0x80070005;
  *section = 0x1234567890;
  return 0;
}
EXPORT uint64_t proxied_value(uint32_t index) { return proxied[index]; }
EXPORT uint32_t was_walked(void) { return walked; }
