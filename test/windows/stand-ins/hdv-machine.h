/*
 * What the stand-in of vmdevicehost keeps: machines with their memory, device hosts, devices. Nothing of it is freed, so
 * that every late use is found out; the memory itself is unmapped.
 */
#ifndef HDV_MACHINE_H
#define HDV_MACHINE_H

#include <stdarg.h>
#include <stdatomic.h>

#include "hdv-os.h"
#include "recorder.h"

enum { BARS = HDV_PCI_BAR_COUNT, MAX_ID = 128, SHADOW_WORDS = 10 };

/* A result that this library gives. */
#define RESULT(value) ((HRESULT)(value##u))
#define OK RESULT(0x00000000)
#define E_UNEXPECTED_ RESULT(0x8000ffff)
#define E_FAIL_ RESULT(0x80004005)
#define WRONG_THREAD RESULT(0x8001010e)
#define ACCESS_DENIED RESULT(0x80070005)
#define BAD_HANDLE RESULT(0x80070006)
#define BAD_ARGUMENT RESULT(0x80070057)
#define ALREADY_EXISTS RESULT(0x800700b7)
#define BAD_ADDRESS RESULT(0x800701e7)
#define NOT_FOUND RESULT(0x80070490)
#define NO_QUOTA RESULT(0x80070718)
#define SECOND_CLASS RESULT(0xc0350005)
#define PROCESS_ALREADY_SET RESULT(0xc0370030)
#define HAS_FAILED(result) ((int32_t)(result) < 0)

typedef struct Machine Machine;
typedef struct Host Host;
typedef struct Device Device;

typedef struct Message {
  uint32_t slot;
  uint32_t data;
  uint64_t address;
} Message;

struct Machine {
  Machine *next;
  wchar_t id[MAX_ID];
  int ended;
  /* Guest memory: `low` bytes from 0, `high` bytes from 4 GiB, one behind the other in the store. */
  Store store;
  View ram;
  uint64_t low;
  uint64_t high;
  uint64_t nextLow;
  uint64_t nextHigh;
  /* Where BARs are placed next. */
  uint64_t nextMmio32;
  uint64_t nextMmio64;
  /* Does the platform pass writes of BARs and command register on to devices? */
  int forwards;
  uint32_t quota;
  uint32_t apertures;
  /* Messages that nobody has taken. */
  Message *messages;
  uint32_t messageCount;
  uint32_t messageRoom;
  uint32_t slots;
  int hasCustomClass;
  int running;
  /* Entries of FlexibleIov that wait for the start. */
  struct Entry *entries;
};

enum { MAX_VALUES = 64 };

typedef struct Entry {
  struct Entry *next;
  GUID instanceId;
  GUID classId;
  int restricted;
  uint32_t count;
  wchar_t *values[MAX_VALUES];
} Entry;

struct Host {
  Host *next;
  uint64_t handle;
  /* NULL until the broker has connected a restricted host. */
  Machine *machine;
  uint64_t computeSystem;
  uint64_t thread;
  int alive;
  int restricted;
  void *support;
  struct DeviceHostObject *object;
};

typedef struct Aperture {
  struct Aperture *next;
  uint64_t handle;
  View view;
} Aperture;

typedef struct Doorbell {
  struct Doorbell *next;
  uint32_t bar;
  int isPage;
  /* Byte offset, or page. */
  uint64_t offset;
  uint64_t value;
  uint64_t flags;
  HANDLE given;
  HANDLE event;
} Doorbell;

typedef struct Range {
  struct Range *next;
  uint32_t bar;
  uint64_t page;
  uint64_t pages;
  uint32_t flags;
  View view;
} Range;

enum { CREATED, INITIALIZED, STARTED, STOPPED, DEAD };

struct Device {
  Device *next;
  uint64_t handle;
  Host *host;
  GUID classId;
  GUID instanceId;
  const HDV_PCI_DEVICE_INTERFACE *table;
  HDV_PCI_DEVICE_INTERFACE asCreated;
  void *context;
  /* CREATED to DEAD. */
  atomic_int state;
  /* Native threads in a callback of this device. */
  atomic_int inside;
  uint32_t slot;
  HDV_PCI_PNP_ID pnp;
  UINT32 probed[BARS];
  uint64_t barGpa[BARS];
  uint64_t barSize[BARS];
  /* Config words 0 to 9 as the platform holds them when it does not pass them on: command and BARs. */
  uint32_t shadow[SHADOW_WORDS];
  atomic_int tricks;
  Doorbell *doorbells;
  Range *ranges;
  Aperture *mapped;
};

/* Guards everything here. Never held during a callback. */
static Lock state = LOCK_INITIAL;
static Signal changed = SIGNAL_INITIAL;
static Machine *machines;
static Host *hosts;
static Device *devices;

/* Native threads in callbacks of any device. */
static atomic_int insideAll;

/* What tests set before a machine is made. */
static uint64_t memoryBytes = 256ull << 20;
static uint64_t lowEnd = 0xf0000000ull;
static int forwardsByDefault;
static uint32_t defaultQuota = 1024;
static int isLoggingAccesses;

#define HIGH_START 0x100000000ull
#define FIRST_ALLOCATION 0x100000ull

static int same_guid(const GUID *a, const GUID *b) { return memcmp(a, b, sizeof *a) == 0; }

static Machine *find_machine(const wchar_t *id) {
  for (Machine *machine = machines; machine != NULL; machine = machine->next) {
    if (!machine->ended && wide_equal(machine->id, id)) return machine;
  }
  return NULL;
}

/* The machine with this id; made when it is not there. NULL when there is no memory for it. State is locked. */
static Machine *need_machine(const wchar_t *id) {
  Machine *machine = id == NULL ? NULL : find_machine(id);
  if (machine != NULL || id == NULL || wide_length(id) >= MAX_ID) return machine;
  machine = calloc(1, sizeof *machine);
  memcpy(machine->id, id, (wide_length(id) + 1) * sizeof(wchar_t));
  machine->low = memoryBytes < lowEnd ? memoryBytes : lowEnd;
  machine->high = memoryBytes - machine->low;
  machine->nextLow = FIRST_ALLOCATION;
  machine->nextHigh = HIGH_START;
  machine->nextMmio32 = lowEnd;
  machine->nextMmio64 = 1ull << 40;
  machine->forwards = forwardsByDefault;
  machine->quota = defaultQuota;
  machine->store = create_store(memoryBytes);
  if (machine->store == NO_STORE || !open_view(&machine->ram, machine->store, 0, memoryBytes, 1)) {
    free(machine);
    return NULL;
  }
  machine->next = machines;
  machines = machine;
  return machine;
}

/* Offset in the store of guest memory, or UINT64_MAX unless all bytes are memory. */
static uint64_t store_offset(const Machine *machine, uint64_t gpa, uint64_t bytes) {
  if (bytes <= machine->low && gpa <= machine->low - bytes) return gpa;
  if (gpa >= HIGH_START && bytes <= machine->high && gpa - HIGH_START <= machine->high - bytes) {
    return machine->low + (gpa - HIGH_START);
  }
  return UINT64_MAX;
}

static uint8_t *guest_bytes(const Machine *machine, uint64_t gpa, uint64_t bytes) {
  uint64_t offset = store_offset(machine, gpa, bytes);
  return offset == UINT64_MAX || machine->ram.bytes == NULL ? NULL : machine->ram.bytes + offset;
}

static Device *find_device(const Machine *machine, const GUID *instance) {
  for (Device *device = devices; device != NULL; device = device->next) {
    if (device->host->machine == machine && device->host->alive &&
        same_guid(&device->instanceId, instance)) {
      return device;
    }
  }
  return NULL;
}

static const wchar_t *subject_of(const Host *host) {
  return host->machine == NULL ? NULL : host->machine->id;
}

#endif
