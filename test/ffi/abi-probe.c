/* A library that reports what it was given: for tests of how functions are bound. Compile with -fshort-wchar. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#define EXPORT __declspec(dllexport)
#else
#include <pthread.h>
#define EXPORT __attribute__((visibility("default")))
#endif

static int64_t allocated;
static atomic_uint waiting;

/* Strings that the caller owns, counted so that a test sees each one freed. */
static wchar_t *new_string(const wchar_t *text, size_t length) {
  allocated++;
#ifdef _WIN32
  wchar_t *copy = LocalAlloc(LMEM_FIXED, (length + 1) * sizeof(wchar_t));
#else
  wchar_t *copy = malloc((length + 1) * sizeof(wchar_t));
#endif
  memcpy(copy, text, length * sizeof(wchar_t));
  copy[length] = 0;
  return copy;
}

#ifndef _WIN32
/* What is not a string of ours is not freed but counted: it makes the count wrong. */
EXPORT void *LocalFree(void *memory) {
  allocated--;
  free(memory);
  return NULL;
}
#endif

EXPORT int64_t ProbeAllocated(void) { return allocated; }

/* Number of code units, or all ones for NULL. */
EXPORT uint32_t ProbeLength(const wchar_t *text) {
  uint32_t length = 0;
  if (text == NULL) return UINT32_MAX;
  while (text[length] != 0) length++;
  return length;
}

/* Code unit at an index. */
EXPORT uint32_t ProbeUnit(const wchar_t *text, uint32_t index) { return text[index]; }

/* Gives a copy of the text out, or NULL for NULL. */
EXPORT uint32_t ProbeEcho(const wchar_t *text, wchar_t **copy) {
  *copy = text == NULL ? NULL : new_string(text, ProbeLength(text));
  return 0;
}

EXPORT uint32_t ProbeResult(uint32_t result) { return result; }
EXPORT uint64_t ProbeWide(uint64_t value) { return value; }
EXPORT int32_t ProbeSigned(int32_t value) { return value; }

EXPORT uint32_t ProbeOut(void *handle, void **copy, uint64_t *large, uint32_t *small) {
  *copy = handle;
  *large = UINT64_C(0xfedcba9876543210);
  *small = 0x89abcdef;
  return 0;
}

EXPORT uint32_t ProbeFill(uint8_t *bytes, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) bytes[i] = (uint8_t)(i + 1);
  return 0;
}

EXPORT void *ProbePointer(const void *pointer) { return (void *)pointer; }

typedef struct {
  uint8_t first;
  uint64_t second;
  uint16_t third;
  int32_t fourth;
} ProbeRecord;

EXPORT uint64_t ProbeSum(const ProbeRecord *record) {
  return record->first + record->second + record->third + (uint64_t)(int64_t)record->fourth;
}

typedef int32_t (*ProbeQuestion)(void *context, uint32_t number, uint64_t offset, const wchar_t *text,
                                 uint32_t *answer);
typedef void (*ProbeNotice)(void *context);

static int32_t ask(ProbeQuestion question, void *context, uint32_t *answer) {
  wchar_t text[] = {'a', 0xd83d, 0xde00, 0};
  *answer = 0xeeeeeeee;
  atomic_fetch_add(&waiting, 1);
  int32_t result = question(context, 7, UINT64_C(0x123456789abc), text, answer);
  atomic_fetch_sub(&waiting, 1);
  return result;
}

/* How many threads wait for an answer now. */
EXPORT uint32_t ProbeWaiting(void) { return waiting; }

/* Asks on the calling thread. */
EXPORT int32_t ProbeAsk(ProbeQuestion question, void *context, uint32_t *answer) {
  return ask(question, context, answer);
}

EXPORT void ProbeNotify(ProbeNotice notice, void *context) { notice(context); }

typedef struct {
  ProbeQuestion question;
  void *context;
  uint32_t asked;
  int32_t worst;
  uint32_t sum;
} Asker;

#ifdef _WIN32
static DWORD WINAPI ask_often(void *argument) {
#else
static void *ask_often(void *argument) {
#endif
  Asker *asker = argument;
  for (uint32_t i = 0; i < asker->asked; i++) {
    uint32_t answer;
    int32_t result = ask(asker->question, asker->context, &answer);
    if (result != 0) asker->worst = result;
    asker->sum += answer;
  }
  return 0;
}

/* Asks on threads of the library's own, each so many times; returns the last failure, and the sum of the answers. */
EXPORT int32_t ProbeAskOnThreads(ProbeQuestion question, void *context, uint32_t threads, uint32_t times,
                                 uint32_t *sum) {
  enum { MOST = 300 };
  static Asker askers[MOST];
  int32_t worst = 0;
  *sum = 0;
  if (threads > MOST) return -1;
#ifdef _WIN32
  static HANDLE started[MOST];
#else
  static pthread_t started[MOST];
#endif
  for (uint32_t i = 0; i < threads; i++) {
    askers[i] = (Asker){question, context, times, 0, 0};
#ifdef _WIN32
    started[i] = CreateThread(NULL, 65536, ask_often, &askers[i], 0, NULL);
#else
    pthread_create(&started[i], NULL, ask_often, &askers[i]);
#endif
  }
  for (uint32_t i = 0; i < threads; i++) {
#ifdef _WIN32
    WaitForSingleObject(started[i], INFINITE);
    CloseHandle(started[i]);
#else
    pthread_join(started[i], NULL);
#endif
    if (askers[i].worst != 0) worst = askers[i].worst;
    *sum += askers[i].sum;
  }
  return worst;
}
