/* The library behind recorder.h, and the functions by which tests reach it. */
#define STAND_IN_RECORDER
#include "platform.h"
#include "recorder.h"

#include <stdarg.h>
#include <stdio.h>

static Lock state = LOCK_INITIAL;

/* ── Text ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct Text {
  char *data;
  size_t length;
  size_t capacity;
} Text;

static void text_add(Text *text, const char *bytes, size_t count) {
  if (text->length + count + 1 > text->capacity) {
    text->capacity = (text->length + count + 1) * 2;
    text->data = realloc(text->data, text->capacity);
  }
  memcpy(text->data + text->length, bytes, count);
  text->length += count;
  text->data[text->length] = 0;
}

static void text_ascii(Text *text, const char *s) { text_add(text, s, strlen(s)); }

static void text_hex(Text *text, uint64_t value) {
  char digits[24];
  snprintf(digits, sizeof digits, "0x%llx", (unsigned long long)value);
  text_ascii(text, digits);
}

static void text_code_point(Text *text, uint32_t c) {
  char u[4];
  if (c < 0x80) {
    u[0] = (char)c;
    text_add(text, u, 1);
  } else if (c < 0x800) {
    u[0] = (char)(0xc0 | c >> 6);
    u[1] = (char)(0x80 | (c & 0x3f));
    text_add(text, u, 2);
  } else if (c < 0x10000) {
    u[0] = (char)(0xe0 | c >> 12);
    u[1] = (char)(0x80 | (c >> 6 & 0x3f));
    u[2] = (char)(0x80 | (c & 0x3f));
    text_add(text, u, 3);
  } else {
    u[0] = (char)(0xf0 | c >> 18);
    u[1] = (char)(0x80 | (c >> 12 & 0x3f));
    u[2] = (char)(0x80 | (c >> 6 & 0x3f));
    u[3] = (char)(0x80 | (c & 0x3f));
    text_add(text, u, 4);
  }
}

/* As JSON.stringify writes it: lone surrogates escaped, nothing else beyond what JSON demands. */
static void text_json(Text *text, const wchar_t *s) {
  if (s == NULL) {
    text_ascii(text, "null");
    return;
  }
  text_ascii(text, "\"");
  for (; *s != 0; s++) {
    uint32_t c = (uint16_t)*s;
    uint32_t low = (uint16_t)s[1];
    char escape[8];
    if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
      text_code_point(text, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
      s++;
    } else if (c == '"' || c == '\\') {
      text_ascii(text, "\\");
      text_code_point(text, c);
    } else if (c == '\n') text_ascii(text, "\\n");
    else if (c == '\r') text_ascii(text, "\\r");
    else if (c == '\t') text_ascii(text, "\\t");
    else if (c == '\b') text_ascii(text, "\\b");
    else if (c == '\f') text_ascii(text, "\\f");
    else if (c < 0x20 || (c >= 0xd800 && c < 0xe000)) {
      snprintf(escape, sizeof escape, "\\u%04x", c);
      text_ascii(text, escape);
    } else text_code_point(text, c);
  }
  text_ascii(text, "\"");
}

static void text_guid(Text *text, const void *guid) {
  if (guid == NULL) {
    text_ascii(text, "null");
    return;
  }
  uint32_t a;
  uint16_t b, c;
  uint8_t d[8];
  memcpy(&a, guid, 4);
  memcpy(&b, (const char *)guid + 4, 2);
  memcpy(&c, (const char *)guid + 6, 2);
  memcpy(d, (const char *)guid + 8, 8);
  char out[40];
  snprintf(out, sizeof out, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", a, b, c, d[0], d[1], d[2], d[3],
           d[4], d[5], d[6], d[7]);
  text_ascii(text, out);
}

/* ── Handles ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Above 32 bits, below what a pointer or a double can hold. */
#define FIRST_HANDLE 0x00000b1700000010ull
#define HANDLE_STEP 0x10ull

typedef struct Handle {
  const char *kind;
  wchar_t *subject;
  void *object;
  int is_open;
} Handle;

static Handle *handles;
static size_t handle_count;
static size_t handle_capacity;

/* With the lock held. */
static Handle *find_handle(uint64_t number) {
  if (number < FIRST_HANDLE || (number - FIRST_HANDLE) % HANDLE_STEP != 0) return NULL;
  uint64_t index = (number - FIRST_HANDLE) / HANDLE_STEP;
  return index < handle_count ? &handles[index] : NULL;
}

/* In kept lines a handle stands as \x01 and its number in hexadecimal, \x02; reading gives it its small name. */
static void text_handle(Text *text, uint64_t number) {
  if (number == 0) {
    text_ascii(text, "null");
    return;
  }
  char token[24];
  snprintf(token, sizeof token, "\x01%llx\x02", (unsigned long long)number);
  text_ascii(text, token);
}

static void text_format(Text *text, const char *format, va_list arguments) {
  static const char digits[] = "0123456789abcdef";
  for (const char *p = format; *p != 0; p++) {
    if (*p != '%') {
      text_add(text, p, 1);
      continue;
    }
    switch (*++p) {
      case 's': text_json(text, va_arg(arguments, const wchar_t *)); break;
      case 'a': text_ascii(text, va_arg(arguments, const char *)); break;
      case 'x': text_hex(text, va_arg(arguments, uint64_t)); break;
      case 'd': text_hex(text, va_arg(arguments, uint32_t)); break;
      case 'i': {
        char number[16];
        snprintf(number, sizeof number, "%u", va_arg(arguments, uint32_t));
        text_ascii(text, number);
        break;
      }
      case 'h': text_handle(text, va_arg(arguments, uint64_t)); break;
      case 'p': text_ascii(text, va_arg(arguments, const void *) == NULL ? "null" : "given"); break;
      case 'g': text_guid(text, va_arg(arguments, const void *)); break;
      case 'b': {
        const uint8_t *bytes = va_arg(arguments, const uint8_t *);
        uint32_t count = va_arg(arguments, uint32_t);
        if (bytes == NULL) text_ascii(text, "null");
        for (uint32_t i = 0; bytes != NULL && i < count; i++) {
          char pair[2] = { digits[bytes[i] >> 4], digits[bytes[i] & 15] };
          text_add(text, pair, 2);
        }
        break;
      }
      default: text_add(text, p - 1, 2); break;
    }
  }
}

/* ── Transcript ───────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct Line {
  Text text;
  wchar_t *subject;
  uint64_t operation;
} Line;

static Line *lines;
static size_t line_count;
static size_t line_capacity;
/* Number of the first line kept: clearing does not give numbers away again. */
static uint64_t first_line;

/* With the lock held. */
static uint64_t add_line(const wchar_t *subject, uint64_t operation, Text text) {
  if (line_count == line_capacity) {
    line_capacity = line_capacity == 0 ? 256 : line_capacity * 2;
    lines = realloc(lines, line_capacity * sizeof *lines);
  }
  lines[line_count] = (Line){ text, wide_copy(subject), operation };
  return first_line + line_count++;
}

/* With the lock held. */
static void note(const wchar_t *subject, uint64_t operation, const char *format, ...) {
  Text text = { 0 };
  va_list arguments;
  va_start(arguments, format);
  text_format(&text, format, arguments);
  va_end(arguments);
  add_line(subject, operation, text);
}

STAND_IN_EXPORT uint64_t RecorderBegin(const wchar_t *subject, uint64_t operation, const char *format, ...) {
  Text text = { 0 };
  va_list arguments;
  va_start(arguments, format);
  text_format(&text, format, arguments);
  va_end(arguments);
  lock(&state);
  uint64_t number = add_line(subject, operation, text);
  unlock(&state);
  return number;
}

static void end_line(uint64_t number, Text text) {
  lock(&state);
  if (number >= first_line && number - first_line < line_count && text.length > 0) {
    text_add(&lines[number - first_line].text, text.data, text.length);
  }
  unlock(&state);
  free(text.data);
}

STAND_IN_EXPORT void RecorderEnd(uint64_t line, uint32_t hresult, const char *format, ...) {
  Text text = { 0 };
  char result[16];
  snprintf(result, sizeof result, " = 0x%08x", hresult);
  text_ascii(&text, result);
  if (format != NULL) {
    va_list arguments;
    text_ascii(&text, ", ");
    va_start(arguments, format);
    text_format(&text, format, arguments);
    va_end(arguments);
  }
  end_line(line, text);
}

STAND_IN_EXPORT void RecorderEndPlain(uint64_t line, const char *format, ...) {
  Text text = { 0 };
  if (format != NULL) {
    va_list arguments;
    text_ascii(&text, " = ");
    va_start(arguments, format);
    text_format(&text, format, arguments);
    va_end(arguments);
  }
  end_line(line, text);
}

STAND_IN_EXPORT void RecorderNote(const wchar_t *subject, uint64_t operation, const char *format, ...) {
  Text text = { 0 };
  va_list arguments;
  va_start(arguments, format);
  text_format(&text, format, arguments);
  va_end(arguments);
  lock(&state);
  add_line(subject, operation, text);
  unlock(&state);
}

STAND_IN_EXPORT uint64_t RecorderOpenHandle(const char *kind, const wchar_t *subject, void *object) {
  lock(&state);
  if (handle_count == handle_capacity) {
    handle_capacity = handle_capacity == 0 ? 256 : handle_capacity * 2;
    handles = realloc(handles, handle_capacity * sizeof *handles);
  }
  handles[handle_count] = (Handle){ kind, wide_copy(subject), object, 1 };
  uint64_t number = FIRST_HANDLE + handle_count++ * HANDLE_STEP;
  unlock(&state);
  return number;
}

STAND_IN_EXPORT void RecorderBindHandle(uint64_t number, const wchar_t *subject) {
  lock(&state);
  Handle *handle = find_handle(number);
  if (handle != NULL && handle->subject == NULL) handle->subject = wide_copy(subject);
  unlock(&state);
}

STAND_IN_EXPORT void *RecorderHandle(const char *kind, uint64_t number, const char *function) {
  lock(&state);
  Handle *handle = find_handle(number);
  void *object = NULL;
  if (handle == NULL || strcmp(handle->kind, kind) != 0) {
    note(NULL, 0, "MISUSE %a: %h is no %a handle", function, number, kind);
  } else if (!handle->is_open) {
    note(handle->subject, 0, "MISUSE %a: %h is closed", function, number);
  } else object = handle->object;
  unlock(&state);
  return object;
}

STAND_IN_EXPORT void *RecorderAnyHandle(const char *kind, uint64_t number) {
  lock(&state);
  Handle *handle = find_handle(number);
  void *object = handle == NULL || strcmp(handle->kind, kind) != 0 ? NULL : handle->object;
  unlock(&state);
  return object;
}

STAND_IN_EXPORT void *RecorderCloseHandle(const char *kind, uint64_t number, const char *function) {
  void *object = RecorderHandle(kind, number, function);
  lock(&state);
  Handle *handle = find_handle(number);
  if (object != NULL) {
    if (handle->is_open) handle->is_open = 0;
    else object = NULL;
  }
  unlock(&state);
  return object;
}

STAND_IN_EXPORT const wchar_t *RecorderHandleSubject(uint64_t number) {
  lock(&state);
  Handle *handle = find_handle(number);
  const wchar_t *subject = handle == NULL ? NULL : handle->subject;
  unlock(&state);
  return subject;
}

/* How many handles of a kind (or all: NULL) of a system (or all: NULL) are open. */
STAND_IN_EXPORT uint32_t StandInOpenHandles(const wchar_t *kind, const wchar_t *subject) {
  uint32_t count = 0;
  lock(&state);
  for (size_t i = 0; i < handle_count; i++) {
    const Handle *handle = &handles[i];
    if (!handle->is_open) continue;
    if (subject != NULL && !wide_equal(handle->subject, subject)) continue;
    int same = 1;
    for (size_t k = 0; kind != NULL && same; k++) {
      same = kind[k] == (wchar_t)handle->kind[k];
      if (kind[k] == 0) break;
    }
    count += same ? 1 : 0;
  }
  unlock(&state);
  return count;
}

/* With the lock held: whether a line concerns a system. */
static int concerns(const Line *line, const wchar_t *subject) {
  if (subject == NULL) return 1;
  const wchar_t *own = line->subject;
  if (own == NULL && line->operation != 0) {
    const Handle *handle = find_handle(line->operation);
    own = handle == NULL ? NULL : handle->subject;
  }
  return own != NULL && wide_equal(own, subject);
}

typedef struct Name {
  uint64_t number;
  char text[48];
} Name;

/* With the lock held: copies a line, its handles by small names, which are made as they are met. */
static void add_named(Text *out, const char *line, Name **names, size_t *count) {
  for (const char *p = line; *p != 0; p++) {
    if (*p != '\x01') {
      text_add(out, p, 1);
      continue;
    }
    char *end;
    uint64_t number = strtoull(p + 1, &end, 16);
    p = end;
    size_t i = 0;
    while (i < *count && (*names)[i].number != number) i++;
    if (i == *count) {
      const Handle *handle = find_handle(number);
      *names = realloc(*names, (*count + 1) * sizeof **names);
      Name *name = &(*names)[(*count)++];
      name->number = number;
      if (handle == NULL) {
        snprintf(name->text, sizeof name->text, "0x%llx", (unsigned long long)number);
      } else {
        unsigned serial = 1;
        for (size_t k = 0; k < i; k++) {
          const Handle *earlier = find_handle((*names)[k].number);
          if (earlier != NULL && strcmp(earlier->kind, handle->kind) == 0) serial++;
        }
        snprintf(name->text, sizeof name->text, "%.32s%u", handle->kind, serial);
      }
    }
    text_ascii(out, (*names)[i].text);
  }
}

/*
 * Writes the lines that concern a system, or all (NULL), as UTF-8 with a newline after each, as far as there is room.
 * Returns how many bytes there are in all.
 */
STAND_IN_EXPORT uint32_t StandInTranscript(const wchar_t *subject, char *buffer, uint32_t capacity) {
  Text out = { 0 };
  Name *names = NULL;
  size_t count = 0;
  lock(&state);
  for (size_t i = 0; i < line_count; i++) {
    if (!concerns(&lines[i], subject)) continue;
    add_named(&out, lines[i].text.data == NULL ? "" : lines[i].text.data, &names, &count);
    text_ascii(&out, "\n");
  }
  unlock(&state);
  if (buffer != NULL && out.length > 0) memcpy(buffer, out.data, out.length < capacity ? out.length : capacity);
  uint32_t length = (uint32_t)out.length;
  free(out.data);
  free(names);
  return length;
}

STAND_IN_EXPORT void StandInClearTranscript(void) {
  lock(&state);
  for (size_t i = 0; i < line_count; i++) {
    free(lines[i].text.data);
    free(lines[i].subject);
  }
  first_line += line_count;
  line_count = 0;
  unlock(&state);
}

/* ── Result documents ─────────────────────────────────────────────────────────────────────────────────────────── */

#ifdef _WIN32

/*
 * Windows frees them without asking us, and a block that was freed must not be asked about: even LocalSize reads what is
 * in the place of its header. So large are they that each has pages of its own, which go with it: a block counts as live
 * while its pages are as they were when it was made, and end with what was written there.
 */
#define ALONE ((2u << 20) + 0x50000)

typedef struct Block {
  char *start;
  void *pages;
  size_t length;
  uint64_t *mark;
  uint64_t value;
} Block;

static Block *blocks;
static size_t block_count;

/* Finds the pages of a block. Reads nothing of it. */
static void find_pages(Block *block) {
  MEMORY_BASIC_INFORMATION memory = { 0 };
  int is_there = VirtualQuery(block->start, &memory, sizeof memory) != 0 && memory.State == MEM_COMMIT;
  block->pages = is_there ? memory.AllocationBase : NULL;
  block->length = is_there ? memory.RegionSize : 0;
}

static int is_live(const Block *block) {
  Block now = { .start = block->start };
  find_pages(&now);
  return now.pages == block->pages && now.length == block->length && *block->mark == block->value;
}

/* With the lock held: forgets what was freed. */
static void forget_freed(void) {
  size_t kept = 0;
  for (size_t i = 0; i < block_count; i++) {
    if (is_live(&blocks[i])) blocks[kept++] = blocks[i];
  }
  block_count = kept;
}

STAND_IN_EXPORT wchar_t *RecorderDocument(const wchar_t *text) {
  if (text == NULL) return NULL;
  static uint64_t serial;
  size_t bytes = (wide_length(text) + 1) * sizeof(wchar_t);
  size_t size = (ALONE + bytes) / 8 * 8;
  lock(&state);
  char *start = LocalAlloc(LMEM_FIXED, size);
  memcpy(start, text, bytes);
  Block block = { .start = start, .mark = (uint64_t *)(start + size) - 1, .value = 0x68647620626c6f63ull ^ ++serial << 32 };
  *block.mark = block.value;
  find_pages(&block);
  forget_freed();
  blocks = realloc(blocks, (block_count + 1) * sizeof *blocks);
  blocks[block_count++] = block;
  unlock(&state);
  return (wchar_t *)start;
}

STAND_IN_EXPORT uint32_t StandInLiveBlocks(void) {
  lock(&state);
  forget_freed();
  size_t count = block_count;
  unlock(&state);
  return (uint32_t)count;
}

STAND_IN_EXPORT int RecorderFreeBlock(void *block) { return LocalFree(block) == NULL; }

#else

/* Freed blocks are overwritten and kept, so that a second free and a late read are found out. */
typedef struct Block {
  void *start;
  size_t size;
  int is_live;
} Block;

static Block *blocks;
static size_t block_count;

STAND_IN_EXPORT wchar_t *RecorderDocument(const wchar_t *text) {
  if (text == NULL) return NULL;
  wchar_t *copy = wide_copy(text);
  lock(&state);
  blocks = realloc(blocks, (block_count + 1) * sizeof *blocks);
  blocks[block_count++] = (Block){ copy, (wide_length(text) + 1) * sizeof(wchar_t), 1 };
  unlock(&state);
  return copy;
}

STAND_IN_EXPORT uint32_t StandInLiveBlocks(void) {
  uint32_t count = 0;
  lock(&state);
  for (size_t i = 0; i < block_count; i++) count += blocks[i].is_live ? 1 : 0;
  unlock(&state);
  return count;
}

STAND_IN_EXPORT int RecorderFreeBlock(void *block) {
  if (block == NULL) return 1;
  int freed = 0;
  int known = 0;
  lock(&state);
  for (size_t i = block_count; i-- > 0 && !known;) {
    if (blocks[i].start != block) continue;
    known = 1;
    freed = blocks[i].is_live;
    if (freed) memset(block, 0xdd, blocks[i].size);
    blocks[i].is_live = 0;
  }
  if (!freed) note(NULL, 0, "MISUSE LocalFree: %a", known ? "the block was freed before" : "it is no block");
  unlock(&state);
  return freed;
}

#endif

/* ── Rules of tests ───────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct Failure {
  struct Failure *next;
  wchar_t *function;
  wchar_t *subject;
  uint32_t at;
  uint32_t hresult;
  wchar_t *document;
} Failure;

typedef struct Pause {
  struct Pause *next;
  wchar_t *function;
  wchar_t *subject;
  uint32_t at;
  int is_held;
  uint32_t waiting;
  uint32_t delay;
} Pause;

static Failure *failures;
static Pause *pauses;
static Signal released = SIGNAL_INITIAL;

static int same_function(const wchar_t *a, const char *b) {
  while (*a != 0 && *a == (wchar_t)*b) a++, b++;
  return *a == (wchar_t)*b;
}

static int same_rule(const wchar_t *function, const wchar_t *subject, uint32_t at, const Pause *pause) {
  return wide_equal(function, pause->function) && wide_equal(subject, pause->subject) && at == pause->at;
}

/* With the lock held. Pauses are never freed: someone may wait at one. */
static Pause *pause_of(const wchar_t *function, const wchar_t *subject, uint32_t at) {
  for (Pause *pause = pauses; pause != NULL; pause = pause->next) {
    if (same_rule(function, subject, at, pause)) return pause;
  }
  Pause *pause = calloc(1, sizeof *pause);
  pause->function = wide_copy(function);
  pause->subject = wide_copy(subject);
  pause->at = at;
  pause->next = pauses;
  pauses = pause;
  return pause;
}

STAND_IN_EXPORT void StandInHold(const wchar_t *function, const wchar_t *subject, uint32_t at) {
  lock(&state);
  pause_of(function, subject, at)->is_held = 1;
  unlock(&state);
}

STAND_IN_EXPORT void StandInRelease(const wchar_t *function, const wchar_t *subject, uint32_t at) {
  lock(&state);
  pause_of(function, subject, at)->is_held = 0;
  signal_all(&released);
  unlock(&state);
}

STAND_IN_EXPORT uint32_t StandInHeld(const wchar_t *function, const wchar_t *subject, uint32_t at) {
  lock(&state);
  uint32_t waiting = pause_of(function, subject, at)->waiting;
  unlock(&state);
  return waiting;
}

STAND_IN_EXPORT void StandInDelay(const wchar_t *function, const wchar_t *subject, uint32_t at, uint32_t ms) {
  lock(&state);
  pause_of(function, subject, at)->delay = ms;
  unlock(&state);
}

STAND_IN_EXPORT void StandInFailNext(const wchar_t *function, const wchar_t *subject, uint32_t at, uint32_t hresult,
                                     const wchar_t *document) {
  Failure *failure = calloc(1, sizeof *failure);
  *failure = (Failure){ NULL, wide_copy(function), wide_copy(subject), at, hresult, wide_copy(document) };
  lock(&state);
  Failure **end = &failures;
  while (*end != NULL) end = &(*end)->next;
  *end = failure;
  unlock(&state);
}

static void free_failure(Failure *failure) {
  free(failure->function);
  free(failure->subject);
  free(failure->document);
  free(failure);
}

STAND_IN_EXPORT void StandInClearRules(void) {
  lock(&state);
  while (failures != NULL) {
    Failure *failure = failures;
    failures = failure->next;
    free_failure(failure);
  }
  for (Pause *pause = pauses; pause != NULL; pause = pause->next) pause->is_held = 0, pause->delay = 0;
  signal_all(&released);
  unlock(&state);
}

STAND_IN_EXPORT void RecorderGate(const char *function, const wchar_t *subject, uint32_t at) {
  uint32_t delay = 0;
  lock(&state);
  for (Pause *pause = pauses; pause != NULL; pause = pause->next) {
    if (pause->at != at || !same_function(pause->function, function)) continue;
    if (pause->subject != NULL && (subject == NULL || !wide_equal(subject, pause->subject))) continue;
    pause->waiting++;
    while (pause->is_held) wait_signal(&released, &state, UINT64_MAX);
    pause->waiting--;
    if (pause->delay > delay) delay = pause->delay;
  }
  unlock(&state);
  if (delay > 0) sleep_ms(delay);
}

STAND_IN_EXPORT int RecorderFails(const char *function, const wchar_t *subject, uint32_t at, uint32_t *hresult,
                                  wchar_t **document) {
  Failure *found = NULL;
  lock(&state);
  for (Failure **link = &failures; *link != NULL; link = &(*link)->next) {
    Failure *failure = *link;
    if (failure->at != at || !same_function(failure->function, function)) continue;
    if (failure->subject != NULL && (subject == NULL || !wide_equal(subject, failure->subject))) continue;
    found = failure;
    *link = failure->next;
    break;
  }
  unlock(&state);
  if (found == NULL) return 0;
  *hresult = found->hresult;
  if (document != NULL) {
    *document = found->document;
    found->document = NULL;
  }
  free_failure(found);
  return 1;
}

STAND_IN_EXPORT void RecorderRelieve(void *memory) { free(memory); }

/* ── Threads ──────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct Job {
  struct Job *next;
  void (*work)(void *);
  void *argument;
} Job;

#define FEWEST_THREADS 3

static Lock pool = LOCK_INITIAL;
static Signal work_came = SIGNAL_INITIAL;
static Job *first_job;
static Job **last_job = &first_job;
static uint32_t queued;
static uint32_t busy;
static uint32_t threads;

static void pool_thread(void *unused) {
  (void)unused;
  lock(&pool);
  for (;;) {
    while (first_job == NULL) wait_signal(&work_came, &pool, UINT64_MAX);
    Job *job = first_job;
    first_job = job->next;
    if (first_job == NULL) last_job = &first_job;
    queued--;
    busy++;
    unlock(&pool);
    job->work(job->argument);
    free(job);
    lock(&pool);
    busy--;
  }
}

/* The pool grows when everybody is busy, as held calls keep their threads. */
STAND_IN_EXPORT void RecorderRun(void (*work)(void *), void *argument) {
  Job *job = malloc(sizeof *job);
  *job = (Job){ NULL, work, argument };
  lock(&pool);
  *last_job = job;
  last_job = &job->next;
  queued++;
  while (threads < FEWEST_THREADS || threads - busy < queued) {
    if (!start_thread(pool_thread, NULL)) break;
    threads++;
  }
  signal_all(&work_came);
  unlock(&pool);
}
