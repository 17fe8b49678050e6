/* Threads, locks and atomics for the stand-ins, on Windows and on Linux. */
#ifndef STAND_IN_PLATFORM_H
#define STAND_IN_PLATFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#define STAND_IN_EXPORT __declspec(dllexport)

typedef SRWLOCK Lock;
typedef CONDITION_VARIABLE Signal;
#define LOCK_INITIAL SRWLOCK_INIT
#define SIGNAL_INITIAL CONDITION_VARIABLE_INIT

static inline void lock(Lock *l) { AcquireSRWLockExclusive(l); }
static inline void unlock(Lock *l) { ReleaseSRWLockExclusive(l); }
static inline void signal_all(Signal *s) { WakeAllConditionVariable(s); }

/* Milliseconds of a clock that never goes back. */
static inline uint64_t now_ms(void) { return GetTickCount64(); }

/* Waits for the signal; `until` is a time of now_ms, or UINT64_MAX. False when the time has come. */
static inline int wait_signal(Signal *s, Lock *l, uint64_t until) {
  DWORD ms = INFINITE;
  if (until != UINT64_MAX) {
    uint64_t now = now_ms();
    if (now >= until) return 0;
    ms = until - now > 0x7fffffff ? 0x7fffffff : (DWORD)(until - now);
  }
  SleepConditionVariableSRW(s, l, ms, 0);
  return 1;
}

static inline void sleep_ms(uint32_t ms) { Sleep(ms); }
static inline uint64_t current_thread(void) { return GetCurrentThreadId(); }

struct ThreadStart { void (*run)(void *); void *argument; };
static DWORD WINAPI thread_main(LPVOID p) {
  struct ThreadStart start = *(struct ThreadStart *)p;
  free(p);
  start.run(start.argument);
  return 0;
}
static inline int start_thread(void (*run)(void *), void *argument) {
  struct ThreadStart *start = malloc(sizeof *start);
  start->run = run;
  start->argument = argument;
  HANDLE thread = CreateThread(NULL, 0, thread_main, start, 0, NULL);
  if (thread == NULL) { free(start); return 0; }
  CloseHandle(thread);
  return 1;
}

/* A function of a library in the same folder, which is loaded for it, or NULL. `library` has no extension. */
static inline void *neighbour_function(const char *library, const char *name) {
  char path[MAX_PATH + 64];
  HMODULE own = NULL;
  DWORD flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  if (!GetModuleHandleExA(flags, (LPCSTR)(uintptr_t)neighbour_function, &own)) return NULL;
  if (GetModuleFileNameA(own, path, MAX_PATH) == 0) return NULL;
  char *slash = strrchr(path, '\\');
  if (slash == NULL) return NULL;
  strcpy(slash + 1, library);
  strcat(path, ".dll");
  HMODULE module = LoadLibraryA(path);
  return module == NULL ? NULL : (void *)(uintptr_t)GetProcAddress(module, name);
}

#else

#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STAND_IN_EXPORT __attribute__((visibility("default")))

typedef pthread_mutex_t Lock;
typedef pthread_cond_t Signal;
#define LOCK_INITIAL PTHREAD_MUTEX_INITIALIZER
#define SIGNAL_INITIAL PTHREAD_COND_INITIALIZER

static inline void lock(Lock *l) { pthread_mutex_lock(l); }
static inline void unlock(Lock *l) { pthread_mutex_unlock(l); }
static inline void signal_all(Signal *s) { pthread_cond_broadcast(s); }

/* Never the time of day: a clock that is set back would make every wait as much longer. */
static inline uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline int wait_signal(Signal *s, Lock *l, uint64_t until) {
  if (until == UINT64_MAX) {
    pthread_cond_wait(s, l);
    return 1;
  }
  if (now_ms() >= until) return 0;
  struct timespec t = { .tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000 };
  pthread_cond_clockwait(s, l, CLOCK_MONOTONIC, &t);
  return 1;
}

static inline void sleep_ms(uint32_t ms) {
  struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
  nanosleep(&t, NULL);
}
static inline uint64_t current_thread(void) { return (uint64_t)syscall(SYS_gettid); }

struct ThreadStart { void (*run)(void *); void *argument; };
static void *thread_main(void *p) {
  struct ThreadStart start = *(struct ThreadStart *)p;
  free(p);
  start.run(start.argument);
  return NULL;
}
static inline int start_thread(void (*run)(void *), void *argument) {
  struct ThreadStart *start = malloc(sizeof *start);
  start->run = run;
  start->argument = argument;
  pthread_t thread;
  if (pthread_create(&thread, NULL, thread_main, start) != 0) { free(start); return 0; }
  pthread_detach(thread);
  return 1;
}

/* The folder of the library that this code is in, with a slash at the end; 0 when it cannot be told. */
static inline int own_folder(char *folder, size_t capacity) {
  Dl_info info;
  if (dladdr((void *)(uintptr_t)own_folder, &info) == 0 || info.dli_fname == NULL) return 0;
  const char *slash = strrchr(info.dli_fname, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - info.dli_fname) + 1;
  if (length == 0 || length >= capacity) return 0;
  memcpy(folder, info.dli_fname, length);
  folder[length] = 0;
  return 1;
}

static inline void *neighbour_function(const char *library, const char *name) {
  char path[4096 + 64];
  if (!own_folder(path, 4096)) return NULL;
  strcat(path, library);
  strcat(path, ".so");
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  return module == NULL ? NULL : dlsym(module, name);
}

#endif

/* Length of a UTF-16 string in units; the C library's own works on another width on Linux. */
static inline size_t wide_length(const wchar_t *s) {
  size_t length = 0;
  while (s[length] != 0) length++;
  return length;
}

static inline wchar_t *wide_copy(const wchar_t *s) {
  if (s == NULL) return NULL;
  size_t bytes = (wide_length(s) + 1) * sizeof(wchar_t);
  wchar_t *copy = malloc(bytes);
  memcpy(copy, s, bytes);
  return copy;
}

static inline int wide_equal(const wchar_t *a, const wchar_t *b) {
  if (a == NULL || b == NULL) return a == b;
  size_t i = 0;
  while (a[i] != 0 && a[i] == b[i]) i++;
  return a[i] == b[i];
}

/* Equal but for the case of ASCII letters, as GUIDs are compared. */
static inline int wide_same_guid(const wchar_t *a, const wchar_t *b) {
  for (;; a++, b++) {
    wchar_t x = *a >= 'A' && *a <= 'Z' ? (wchar_t)(*a + 32) : *a;
    wchar_t y = *b >= 'A' && *b <= 'Z' ? (wchar_t)(*b + 32) : *b;
    if (x != y) return 0;
    if (x == 0) return 1;
  }
}

#endif
