/*
 * The functions of kernel32, kernelbase and ole32 that the package uses, over Linux. An event is the number of an
 * eventfd, a section that of a memfd, so that whatever has a descriptor can be waited for beside them.
 */
#include "platform.h"
#include "system-abi.h"
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define ERROR_INVALID_HANDLE_ 6u
#define ERROR_INVALID_PARAMETER_ 87u
#define ERROR_BROKEN_PIPE_ 109u
#define ERROR_INVALID_ADDRESS_ 487u
#define ERROR_IO_PENDING_ 997u
#define ERROR_TIMEOUT_ 1460u
#define ERROR_NOT_ENOUGH_MEMORY_ 8u

#define WAIT_TIMEOUT_ 258u
#define WAIT_FAILED_ 0xffffffffu

#define FD(handle) ((int)(intptr_t)(handle))
#define HANDLE_OF_FD(fd) ((HANDLE)(intptr_t)(fd))

static _Thread_local DWORD last_error;

static BOOL fail(DWORD error) {
  last_error = error;
  return FALSE;
}

STAND_IN_EXPORT DWORD WINAPI GetLastError(void) { return last_error; }

/* ── Handles ──────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef enum Kind { FOREIGN, AUTO_RESET, MANUAL_RESET, SECTION } Kind;

#define MOST_DESCRIPTORS 65536
#define FIRST_THREAD 0x40000000

static Lock table = LOCK_INITIAL;
static uint8_t kinds[MOST_DESCRIPTORS];
static int32_t opened_threads;
static int32_t events;
static int32_t sections;
static int32_t views;
static int32_t allocations;
static int32_t waits;
static int32_t apartments;

static void count(int32_t *counter, int32_t by) { __atomic_add_fetch(counter, by, __ATOMIC_SEQ_CST); }

static Kind kind_of(int fd) { return fd < 0 || fd >= MOST_DESCRIPTORS ? FOREIGN : __atomic_load_n(&kinds[fd], __ATOMIC_SEQ_CST); }

static HANDLE add_descriptor(int fd, Kind kind) {
  if (fd < 0) {
    last_error = ERROR_NOT_ENOUGH_MEMORY_;
    return NULL;
  }
  __atomic_store_n(&kinds[fd], (uint8_t)kind, __ATOMIC_SEQ_CST);
  if (kind == SECTION) count(&sections, 1);
  else if (kind != FOREIGN) count(&events, 1);
  return HANDLE_OF_FD(fd);
}

STAND_IN_EXPORT HANDLE WINAPI CreateEventW(SECURITY_ATTRIBUTES *attributes, BOOL manual, BOOL initial, LPCWSTR name) {
  (void)attributes;
  (void)name;
  int fd = eventfd(initial ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
  return add_descriptor(fd, manual ? MANUAL_RESET : AUTO_RESET);
}

static int is_event(HANDLE handle) {
  Kind kind = kind_of(FD(handle));
  return kind == AUTO_RESET || kind == MANUAL_RESET;
}

STAND_IN_EXPORT BOOL WINAPI SetEvent(HANDLE event) {
  uint64_t one = 1;
  if (!is_event(event) || write(FD(event), &one, sizeof one) < 0) {
    RecorderNote(NULL, 0, "MISUSE SetEvent: %x is no event", (uint64_t)(uintptr_t)event);
    return fail(ERROR_INVALID_HANDLE_);
  }
  return TRUE;
}

static void consume(HANDLE event) {
  uint64_t value;
  ssize_t got = read(FD(event), &value, sizeof value);
  (void)got;
}

STAND_IN_EXPORT BOOL WINAPI ResetEvent(HANDLE event) {
  if (!is_event(event)) return fail(ERROR_INVALID_HANDLE_);
  consume(event);
  return TRUE;
}

STAND_IN_EXPORT BOOL WINAPI CloseHandle(HANDLE handle) {
  intptr_t number = (intptr_t)handle;
  if (number == -1) return TRUE;
  if (number >= FIRST_THREAD) {
    count(&opened_threads, -1);
    return TRUE;
  }
  Kind kind = kind_of(FD(handle));
  if (number > 2 && number < MOST_DESCRIPTORS) __atomic_store_n(&kinds[number], FOREIGN, __ATOMIC_SEQ_CST);
  if (number <= 2 || number >= MOST_DESCRIPTORS || close(FD(handle)) != 0) {
    RecorderNote(NULL, 0, "MISUSE CloseHandle: %x is not open", (uint64_t)number);
    return fail(ERROR_INVALID_HANDLE_);
  }
  if (kind == SECTION) count(&sections, -1);
  else if (kind != FOREIGN) count(&events, -1);
  return TRUE;
}

STAND_IN_EXPORT BOOL WINAPI DuplicateHandle(HANDLE sourceProcess, HANDLE source, HANDLE targetProcess, HANDLE *target,
                                            DWORD access, BOOL inherit, DWORD options) {
  (void)sourceProcess, (void)targetProcess, (void)access, (void)inherit;
  int fd = fcntl(FD(source), F_DUPFD_CLOEXEC, 3);
  if (fd < 0 || target == NULL) return fail(ERROR_INVALID_HANDLE_);
  *target = add_descriptor(fd, kind_of(FD(source)));
  /* DUPLICATE_CLOSE_SOURCE */
  if ((options & 1) != 0) CloseHandle(source);
  return TRUE;
}

/* ── Waiting ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes the signal of an auto-reset event. False when somebody else was faster. */
static int take(HANDLE handle) {
  uint64_t value;
  if (kind_of(FD(handle)) != AUTO_RESET) return 1;
  return read(FD(handle), &value, sizeof value) == sizeof value;
}

static int time_left(uint64_t until) {
  if (until == UINT64_MAX) return -1;
  uint64_t now = now_ms();
  uint64_t left = now >= until ? 0 : until - now;
  return left > 0x7fffffff ? 0x7fffffff : (int)left;
}

STAND_IN_EXPORT DWORD WINAPI WaitForMultipleObjects(DWORD count, const HANDLE *handles, BOOL all, DWORD ms) {
  struct pollfd ready[64];
  if (count == 0 || count > 64) {
    last_error = ERROR_INVALID_PARAMETER_;
    return WAIT_FAILED_;
  }
  uint64_t until = ms == INFINITE ? UINT64_MAX : now_ms() + ms;
  for (;;) {
    uint32_t signalled = 0;
    for (DWORD i = 0; i < count; i++) ready[i] = (struct pollfd){ .fd = FD(handles[i]), .events = POLLIN };
    int left = time_left(until);
    if (poll(ready, count, left) < 0 && errno != EINTR) return WAIT_FAILED_;
    for (DWORD i = 0; i < count; i++) {
      if ((ready[i].revents & POLLNVAL) != 0) {
        RecorderNote(NULL, 0, "MISUSE WaitForMultipleObjects: %x is not open", (uint64_t)(uintptr_t)handles[i]);
        last_error = ERROR_INVALID_HANDLE_;
        return WAIT_FAILED_;
      }
      if (ready[i].revents == 0) continue;
      signalled++;
      if (!all && take(handles[i])) return i;
    }
    if (all && signalled == count) {
      for (DWORD i = 0; i < count; i++) take(handles[i]);
      return 0;
    }
    /* What is signalled already would end every poll at once. */
    if (all && signalled > 0) sleep_ms(1);
    if (left == 0) return WAIT_TIMEOUT_;
  }
}

STAND_IN_EXPORT DWORD WINAPI WaitForSingleObject(HANDLE handle, DWORD ms) {
  return WaitForMultipleObjects(1, &handle, FALSE, ms);
}

static long futex(volatile void *address, int operation, uint32_t value, const struct timespec *limit) {
  return syscall(SYS_futex, address, operation | FUTEX_PRIVATE_FLAG, value, limit, NULL, 0);
}

STAND_IN_EXPORT BOOL WINAPI WaitOnAddress(volatile void *address, PVOID compare, SIZE_T size, DWORD ms) {
  if (size != 1 && size != 2 && size != 4 && size != 8) return fail(ERROR_INVALID_PARAMETER_);
  uint64_t until = ms == INFINITE ? UINT64_MAX : now_ms() + ms;
  uint32_t expected;
  /* The kernel compares 32 bits; where those are not all, it is asked again every millisecond. */
  volatile void *word = (volatile void *)((uintptr_t)address & ~(uintptr_t)3);
  __atomic_load((volatile uint32_t *)word, &expected, __ATOMIC_SEQ_CST);
  if (memcmp((const void *)(uintptr_t)address, compare, size) != 0) return TRUE;
  int left = time_left(until);
  if (size != 4 && (left < 0 || left > 1)) left = 1;
  struct timespec limit = { .tv_sec = left / 1000, .tv_nsec = (long)(left % 1000) * 1000000 };
  long result = futex(word, FUTEX_WAIT, expected, left < 0 ? NULL : &limit);
  if (result == 0 || errno != ETIMEDOUT) return TRUE;
  /* Waking without a cause is allowed, waiting too long is not. */
  return size != 4 && time_left(until) != 0 ? TRUE : fail(ERROR_TIMEOUT_);
}

static void *word_of(PVOID address) { return (void *)((uintptr_t)address & ~(uintptr_t)3); }

STAND_IN_EXPORT void WINAPI WakeByAddressSingle(PVOID address) { futex(word_of(address), FUTEX_WAKE, 1, NULL); }

STAND_IN_EXPORT void WINAPI WakeByAddressAll(PVOID address) { futex(word_of(address), FUTEX_WAKE, 0x7fffffff, NULL); }

/* ── Registered waits ─────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct Wait {
  uint64_t number;
  HANDLE object;
  WAITORTIMERCALLBACK callback;
  PVOID context;
  ULONG ms;
  ULONG flags;
  int stop;
  int is_over;
  uint64_t thread;
  HANDLE completion;
} Wait;

static Signal wait_ended = SIGNAL_INITIAL;

/* One thread for each wait. */
static void run_wait(void *argument) {
  Wait *wait = argument;
  __atomic_store_n(&wait->thread, current_thread(), __ATOMIC_SEQ_CST);
  for (;;) {
    struct pollfd ready[2] = { { .fd = wait->stop, .events = POLLIN }, { .fd = FD(wait->object), .events = POLLIN } };
    int got = poll(ready, 2, wait->ms == INFINITE ? -1 : (int)wait->ms);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || ready[0].revents != 0) break;
    if ((ready[1].revents & POLLNVAL) != 0) {
      RecorderNote(NULL, 0, "MISUSE RegisterWaitForSingleObject: the object was closed while it was waited for");
      break;
    }
    if (got > 0 && !take(wait->object)) continue;
    wait->callback(wait->context, got == 0);
    /* WT_EXECUTEONLYONCE */
    if ((wait->flags & 8) != 0) break;
  }
  lock(&table);
  wait->is_over = 1;
  HANDLE completion = wait->completion;
  signal_all(&wait_ended);
  unlock(&table);
  if (completion != NULL) SetEvent(completion);
}

STAND_IN_EXPORT BOOL WINAPI RegisterWaitForSingleObject(HANDLE *newWait, HANDLE object, WAITORTIMERCALLBACK callback,
                                                        PVOID context, ULONG ms, ULONG flags) {
  if (newWait == NULL || callback == NULL) return fail(ERROR_INVALID_PARAMETER_);
  if (fcntl(FD(object), F_GETFD) < 0) return fail(ERROR_INVALID_HANDLE_);
  Wait *wait = calloc(1, sizeof *wait);
  *wait = (Wait){ 0, object, callback, context, ms, flags, eventfd(0, EFD_CLOEXEC), 0, 0, NULL };
  wait->number = RecorderOpenHandle("wait", NULL, wait);
  count(&waits, 1);
  *newWait = (HANDLE)(uintptr_t)wait->number;
  if (start_thread(run_wait, wait)) return TRUE;
  return fail(ERROR_NOT_ENOUGH_MEMORY_);
}

STAND_IN_EXPORT BOOL WINAPI UnregisterWaitEx(HANDLE handle, HANDLE completion) {
  Wait *wait = RecorderCloseHandle("wait", (uint64_t)(uintptr_t)handle, "UnregisterWaitEx");
  if (wait == NULL) return fail(ERROR_INVALID_HANDLE_);
  count(&waits, -1);
  uint64_t one = 1;
  int blocks = (intptr_t)completion == -1;
  lock(&table);
  int is_over = wait->is_over;
  if (!blocks) wait->completion = completion;
  ssize_t written = write(wait->stop, &one, sizeof one);
  (void)written;
  if (blocks && wait->thread == current_thread()) {
    RecorderNote(NULL, 0, "MISUSE UnregisterWaitEx: a callback waits for itself");
  } else while (blocks && !wait->is_over) wait_signal(&wait_ended, &table, UINT64_MAX);
  unlock(&table);
  if (is_over && !blocks && completion != NULL) SetEvent(completion);
  return blocks || is_over ? TRUE : fail(ERROR_IO_PENDING_);
}

/* ── Memory ───────────────────────────────────────────────────────────────────────────────────────────────────── */

#define GRANULARITY 0x10000u
#define PAGE 0x1000u

typedef struct Range {
  struct Range *next;
  char *start;
  size_t size;
  DWORD protection;
  int is_view;
} Range;

static Range *ranges;

/* With the lock held. */
static Range *range_of(const void *address, int is_view) {
  for (Range *range = ranges; range != NULL; range = range->next) {
    const char *p = address;
    if (range->is_view == is_view && p >= range->start && p < range->start + range->size) return range;
  }
  return NULL;
}

static void add_range(void *start, size_t size, DWORD protection, int is_view) {
  Range *range = malloc(sizeof *range);
  lock(&table);
  *range = (Range){ ranges, start, size, protection, is_view };
  ranges = range;
  unlock(&table);
}

/* Takes the range out that begins here. Its size, or 0 when there is none. */
static size_t remove_range(const void *start, int is_view) {
  size_t size = 0;
  lock(&table);
  for (Range **link = &ranges; *link != NULL; link = &(*link)->next) {
    Range *range = *link;
    if (range->start != start || range->is_view != is_view) continue;
    size = range->size;
    *link = range->next;
    free(range);
    break;
  }
  unlock(&table);
  return size;
}

/* PAGE_… of Windows as PROT_…; -1 for what is none. */
static int protection_of(DWORD protection) {
  switch (protection & 0xff) {
    case 0x01: return PROT_NONE;
    case 0x02: return PROT_READ;
    case 0x04: return PROT_READ | PROT_WRITE;
    case 0x10: return PROT_EXEC;
    case 0x20: return PROT_READ | PROT_EXEC;
    case 0x40: return PROT_READ | PROT_WRITE | PROT_EXEC;
    default: return -1;
  }
}

/* Anonymous memory at a multiple of 64 KiB, as Windows gives it; NULL when there is none. */
static void *map_aligned(size_t size) {
  char *start = mmap(NULL, size + GRANULARITY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return NULL;
  size_t lead = (GRANULARITY - (uintptr_t)start % GRANULARITY) % GRANULARITY;
  if (lead > 0) munmap(start, lead);
  munmap(start + lead + size, GRANULARITY - lead);
  return start + lead;
}

STAND_IN_EXPORT PVOID WINAPI VirtualAlloc(PVOID address, SIZE_T size, DWORD type, DWORD protect) {
  const DWORD COMMIT = 0x1000, RESERVE = 0x2000;
  int protection = protection_of(protect);
  if (size == 0 || protection < 0 || (type & (COMMIT | RESERVE)) == 0) {
    last_error = ERROR_INVALID_PARAMETER_;
    return NULL;
  }
  if ((type & COMMIT) == 0) protection = PROT_NONE;
  if (address != NULL && (type & RESERVE) == 0) {
    lock(&table);
    Range *range = range_of(address, 0);
    if (range != NULL) range->protection = protect;
    unlock(&table);
    char *page = (char *)((uintptr_t)address & ~(uintptr_t)(PAGE - 1));
    size_t length = ((char *)address + size - page + PAGE - 1) & ~(size_t)(PAGE - 1);
    if (range != NULL && mprotect(page, length, protection) == 0) return page;
    last_error = ERROR_INVALID_ADDRESS_;
    return NULL;
  }
  char *start;
  if (address == NULL) {
    size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
    start = map_aligned(size);
  } else {
    start = (char *)((uintptr_t)address & ~(uintptr_t)(GRANULARITY - 1));
    size = ((size_t)((char *)address - start) + size + PAGE - 1) & ~(size_t)(PAGE - 1);
    void *got = mmap(start, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != MAP_FAILED && got != start) {
      munmap(got, size);
      got = MAP_FAILED;
    }
    if (got == MAP_FAILED) start = NULL;
  }
  if (start == NULL) {
    last_error = address == NULL ? ERROR_NOT_ENOUGH_MEMORY_ : ERROR_INVALID_ADDRESS_;
    return NULL;
  }
  mprotect(start, size, protection);
  add_range(start, size, (type & COMMIT) == 0 ? 0x01 : protect, 0);
  count(&allocations, 1);
  return start;
}

STAND_IN_EXPORT BOOL WINAPI VirtualProtect(PVOID address, SIZE_T size, DWORD protect, DWORD *old) {
  int protection = protection_of(protect);
  if (protection < 0 || old == NULL) return fail(ERROR_INVALID_PARAMETER_);
  lock(&table);
  Range *range = range_of(address, 0);
  if (range == NULL) range = range_of(address, 1);
  if (range != NULL) {
    *old = range->protection;
    range->protection = protect;
  }
  unlock(&table);
  char *page = (char *)((uintptr_t)address & ~(uintptr_t)(PAGE - 1));
  size_t length = ((size_t)((char *)address - page) + size + PAGE - 1) & ~(size_t)(PAGE - 1);
  if (range == NULL || mprotect(page, length, protection) != 0) return fail(ERROR_INVALID_ADDRESS_);
  return TRUE;
}

STAND_IN_EXPORT BOOL WINAPI VirtualFree(PVOID address, SIZE_T size, DWORD type) {
  const DWORD DECOMMIT = 0x4000, RELEASE = 0x8000;
  if (type == DECOMMIT) {
    lock(&table);
    Range *range = range_of(address, 0);
    unlock(&table);
    if (range == NULL) return fail(ERROR_INVALID_ADDRESS_);
    if (size == 0) size = range->size;
    madvise(address, size, MADV_DONTNEED);
    mprotect(address, size, PROT_NONE);
    return TRUE;
  }
  if (type != RELEASE || size != 0) return fail(ERROR_INVALID_PARAMETER_);
  size_t whole = remove_range(address, 0);
  if (whole == 0) {
    RecorderNote(NULL, 0, "MISUSE VirtualFree: no memory was allocated there");
    return fail(ERROR_INVALID_ADDRESS_);
  }
  munmap(address, whole);
  count(&allocations, -1);
  return TRUE;
}

STAND_IN_EXPORT BOOL WINAPI FlushInstructionCache(HANDLE process, const void *address, SIZE_T size) {
  (void)process;
  if (address != NULL) __builtin___clear_cache((char *)(uintptr_t)address, (char *)(uintptr_t)address + size);
  return TRUE;
}

STAND_IN_EXPORT HANDLE WINAPI CreateFileMappingW(HANDLE file, SECURITY_ATTRIBUTES *attributes, DWORD protect,
                                                 DWORD high, DWORD low, LPCWSTR name) {
  (void)attributes, (void)name;
  uint64_t size = (uint64_t)high << 32 | low;
  if ((intptr_t)file != -1 || size == 0 || protection_of(protect) < 0) {
    last_error = ERROR_INVALID_PARAMETER_;
    return NULL;
  }
  int fd = memfd_create("section", MFD_CLOEXEC);
  if (fd >= 0 && ftruncate(fd, (off_t)((size + PAGE - 1) & ~(uint64_t)(PAGE - 1))) != 0) {
    close(fd);
    fd = -1;
  }
  return add_descriptor(fd, SECTION);
}

STAND_IN_EXPORT PVOID WINAPI MapViewOfFile(HANDLE section, DWORD access, DWORD high, DWORD low, SIZE_T size) {
  uint64_t offset = (uint64_t)high << 32 | low;
  struct stat status;
  if (kind_of(FD(section)) != SECTION || fstat(FD(section), &status) != 0) {
    last_error = ERROR_INVALID_HANDLE_;
    return NULL;
  }
  if (offset % GRANULARITY != 0 || offset >= (uint64_t)status.st_size ||
      (size != 0 && offset + size > (uint64_t)status.st_size)) {
    last_error = ERROR_INVALID_PARAMETER_;
    return NULL;
  }
  if (size == 0) size = (size_t)((uint64_t)status.st_size - offset);
  size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
  /* FILE_MAP_WRITE, FILE_MAP_EXECUTE */
  int protection = PROT_READ | ((access & 2) != 0 ? PROT_WRITE : 0) | ((access & 0x20) != 0 ? PROT_EXEC : 0);
  char *start = map_aligned(size);
  if (start == NULL || mmap(start, size, protection, MAP_SHARED | MAP_FIXED, FD(section), (off_t)offset) == MAP_FAILED) {
    last_error = ERROR_NOT_ENOUGH_MEMORY_;
    return NULL;
  }
  add_range(start, size, (access & 2) != 0 ? 0x04 : 0x02, 1);
  count(&views, 1);
  return start;
}

STAND_IN_EXPORT BOOL WINAPI UnmapViewOfFile(const void *address) {
  size_t size = remove_range(address, 1);
  if (size == 0) {
    RecorderNote(NULL, 0, "MISUSE UnmapViewOfFile: no view is mapped there");
    return fail(ERROR_INVALID_ADDRESS_);
  }
  munmap((void *)(uintptr_t)address, size);
  count(&views, -1);
  return TRUE;
}

STAND_IN_EXPORT HANDLE WINAPI LocalFree(HANDLE block) { return RecorderFreeBlock(block) ? NULL : block; }

/* ── Threads ──────────────────────────────────────────────────────────────────────────────────────────────────── */

STAND_IN_EXPORT HANDLE WINAPI GetCurrentProcess(void) { return (HANDLE)(intptr_t)-1; }

STAND_IN_EXPORT BOOL WINAPI TerminateProcess(HANDLE process, UINT32 code) {
  if (process != GetCurrentProcess()) return FALSE;
  _exit((int)code);
}

STAND_IN_EXPORT DWORD WINAPI GetCurrentThreadId(void) { return (DWORD)current_thread(); }

static int thread_lives(DWORD id) {
  char path[48];
  snprintf(path, sizeof path, "/proc/self/task/%u", id);
  return access(path, F_OK) == 0;
}

STAND_IN_EXPORT HANDLE WINAPI OpenThread(DWORD access, BOOL inherit, DWORD id) {
  (void)access, (void)inherit;
  if (!thread_lives(id)) {
    last_error = ERROR_INVALID_PARAMETER_;
    return NULL;
  }
  count(&opened_threads, 1);
  return (HANDLE)(intptr_t)(FIRST_THREAD + (intptr_t)id);
}

static void set_time(FILETIME *time, uint64_t hundreds_of_ns) {
  if (time == NULL) return;
  time->dwLowDateTime = (DWORD)hundreds_of_ns;
  time->dwHighDateTime = (DWORD)(hundreds_of_ns >> 32);
}

STAND_IN_EXPORT BOOL WINAPI GetThreadTimes(HANDLE thread, FILETIME *creation, FILETIME *exit, FILETIME *kernel,
                                           FILETIME *user) {
  intptr_t number = (intptr_t)thread - FIRST_THREAD;
  if (number <= 0) return fail(ERROR_INVALID_HANDLE_);
  /* The clock of one thread's processor time, as pthread_getcpuclockid makes it. */
  clockid_t clock = (clockid_t)((~(unsigned)number << 3) | 6u);
  struct timespec used;
  set_time(creation, 0);
  set_time(exit, 0);
  set_time(kernel, 0);
  set_time(user, 0);
  if (clock_gettime(clock, &used) != 0) return thread_lives((DWORD)number) ? fail(ERROR_INVALID_HANDLE_) : TRUE;
  set_time(user, (uint64_t)used.tv_sec * 10000000u + (uint64_t)used.tv_nsec / 100u);
  return TRUE;
}

/* ── Pipes ────────────────────────────────────────────────────────────────────────────────────────────────────── */

STAND_IN_EXPORT BOOL WINAPI ReadFile(HANDLE file, PVOID buffer, DWORD bytes, DWORD *read_bytes, OVERLAPPED *overlapped) {
  if (overlapped != NULL) return fail(ERROR_INVALID_PARAMETER_);
  ssize_t got;
  do got = read(FD(file), buffer, bytes); while (got < 0 && errno == EINTR);
  if (read_bytes != NULL) *read_bytes = got < 0 ? 0 : (DWORD)got;
  if (got < 0) return fail(ERROR_INVALID_HANDLE_);
  return got == 0 && bytes > 0 ? fail(ERROR_BROKEN_PIPE_) : TRUE;
}

STAND_IN_EXPORT BOOL WINAPI WriteFile(HANDLE file, const void *buffer, DWORD bytes, DWORD *written,
                                      OVERLAPPED *overlapped) {
  if (overlapped != NULL) return fail(ERROR_INVALID_PARAMETER_);
  sigset_t pipe_signal, before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  DWORD done = 0;
  while (done < bytes) {
    ssize_t put = write(FD(file), (const char *)buffer + done, bytes - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) break;
    done += (DWORD)put;
  }
  int error = done < bytes ? errno : 0;
  if (error == EPIPE) {
    struct timespec none = { 0 };
    sigtimedwait(&pipe_signal, NULL, &none);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (written != NULL) *written = done;
  if (done == bytes) return TRUE;
  return fail(error == EPIPE ? ERROR_BROKEN_PIPE_ : ERROR_INVALID_HANDLE_);
}

/* ── COM ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

STAND_IN_EXPORT HRESULT WINAPI CoIncrementMTAUsage(CO_MTA_USAGE_COOKIE *cookie) {
  if (cookie == NULL) return (HRESULT)(uint32_t)0x80070057;
  static int anchor;
  *cookie = (CO_MTA_USAGE_COOKIE)(uintptr_t)RecorderOpenHandle("apartment", NULL, &anchor);
  count(&apartments, 1);
  return 0;
}

STAND_IN_EXPORT HRESULT WINAPI CoDecrementMTAUsage(CO_MTA_USAGE_COOKIE cookie) {
  void *anchor = RecorderCloseHandle("apartment", (uint64_t)(uintptr_t)cookie, "CoDecrementMTAUsage");
  if (anchor == NULL) return (HRESULT)(uint32_t)0x80070057;
  count(&apartments, -1);
  return 0;
}

/* ── For tests ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* How many objects of a kind there are: event, section, view, memory, wait, thread, apartment. */
STAND_IN_EXPORT int32_t StandInSystemObjects(LPCWSTR kind) {
  static const struct { const wchar_t *name; const int32_t *counter; } counters[] = {
    { L"event", &events }, { L"section", &sections }, { L"view", &views }, { L"memory", &allocations },
    { L"wait", &waits }, { L"thread", &opened_threads }, { L"apartment", &apartments },
  };
  for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
    if (wide_equal(counters[i].name, kind)) return __atomic_load_n(counters[i].counter, __ATOMIC_SEQ_CST);
  }
  return -1;
}
