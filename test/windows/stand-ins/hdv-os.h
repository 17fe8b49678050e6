/* Shared memory, events and a fine clock, on Windows and on Linux, as the stand-in of vmdevicehost needs them. */
#ifndef HDV_OS_H
#define HDV_OS_H

#include "platform.h"

/* Granularity of guest memory. */
#define PAGE_BYTES 4096u

#ifdef _WIN32

static uint32_t process_id(void) { return GetCurrentProcessId(); }

static uint64_t now_ns(void) {
  LARGE_INTEGER count, frequency;
  QueryPerformanceCounter(&count);
  QueryPerformanceFrequency(&frequency);
  uint64_t whole = (uint64_t)count.QuadPart / (uint64_t)frequency.QuadPart;
  uint64_t rest = (uint64_t)count.QuadPart % (uint64_t)frequency.QuadPart;
  return whole * 1000000000u + rest * 1000000000u / (uint64_t)frequency.QuadPart;
}

/* Memory that can be mapped several times. */
typedef HANDLE Store;
#define NO_STORE NULL
/* Offsets of views are multiples of this. */
#define VIEW_BYTES 65536u

static Store create_store(uint64_t bytes) {
  return CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, (DWORD)(bytes >> 32),
                            (DWORD)bytes, NULL);
}

static void close_store(Store store) { CloseHandle(store); }

static void *map_view(Store store, uint64_t offset, uint64_t bytes, int writable) {
  DWORD access = writable ? FILE_MAP_READ | FILE_MAP_WRITE : FILE_MAP_READ;
  return MapViewOfFile(store, access, (DWORD)(offset >> 32), (DWORD)offset, (SIZE_T)bytes);
}

static void unmap_view(void *view, uint64_t bytes) {
  (void)bytes;
  UnmapViewOfFile(view);
}

static int is_open(HANDLE handle) {
  DWORD flags;
  return GetHandleInformation(handle, &flags) != 0;
}

static HANDLE duplicate(HANDLE handle) {
  HANDLE copy = NULL;
  HANDLE self = GetCurrentProcess();
  return DuplicateHandle(self, handle, self, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS) ? copy : NULL;
}

static void close_duplicate(HANDLE handle) { CloseHandle(handle); }
static void signal_event(HANDLE event) { SetEvent(event); }
static Store store_of_section(HANDLE section) { return section; }

#else

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static uint32_t process_id(void) { return (uint32_t)getpid(); }

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

typedef int Store;
#define NO_STORE (-1)
#define VIEW_BYTES PAGE_BYTES

static Store create_store(uint64_t bytes) {
  int descriptor = memfd_create("guest-memory", MFD_CLOEXEC);
  if (descriptor >= 0 && ftruncate(descriptor, (off_t)bytes) != 0) {
    close(descriptor);
    return NO_STORE;
  }
  return descriptor;
}

static void close_store(Store store) { close(store); }

static void *map_view(Store store, uint64_t offset, uint64_t bytes, int writable) {
  int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void *view = mmap(NULL, bytes, protection, MAP_SHARED | MAP_NORESERVE, store, (off_t)offset);
  return view == MAP_FAILED ? NULL : view;
}

static void unmap_view(void *view, uint64_t bytes) { munmap(view, bytes); }

/* Where there is no Windows, a HANDLE is a descriptor: of an eventfd, or of a shared-memory file. */
static int is_open(HANDLE handle) { return fcntl((int)(intptr_t)handle, F_GETFD) >= 0; }

static HANDLE duplicate(HANDLE handle) {
  int copy = fcntl((int)(intptr_t)handle, F_DUPFD_CLOEXEC, 3);
  return copy < 0 ? NULL : (HANDLE)(intptr_t)copy;
}

static void close_duplicate(HANDLE handle) { close((int)(intptr_t)handle); }

static void signal_event(HANDLE event) {
  uint64_t one = 1;
  while (write((int)(intptr_t)event, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

static Store store_of_section(HANDLE section) { return (int)(intptr_t)section; }

#endif

/* A part of a store, mapped: it begins at any page, which views on Windows cannot. */
typedef struct {
  uint8_t *bytes;
  void *view;
  uint64_t viewBytes;
} View;

static int open_view(View *view, Store store, uint64_t offset, uint64_t bytes, int writable) {
  uint64_t skipped = offset % VIEW_BYTES;
  view->viewBytes = bytes + skipped;
  view->view = map_view(store, offset - skipped, view->viewBytes, writable);
  view->bytes = view->view == NULL ? NULL : (uint8_t *)view->view + skipped;
  return view->view != NULL;
}

static void close_view(View *view) {
  if (view->view != NULL) unmap_view(view->view, view->viewBytes);
  view->view = NULL;
  view->bytes = NULL;
}

#endif
