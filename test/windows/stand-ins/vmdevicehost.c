/*
 * A stand-in for vmdevicehost.dll: its 18 exports, the machines that devices are put into, and a small guest in each.
 * It is a test double: it reports what it was given, is strict where Windows is or may be, and runs no operating system.
 *
 * There is no independent header for this library; the generated one has the types. Results where Windows' own are not
 * known: 0x800701e7 for what is not memory, 0x800700b7 for what is there already, 0x80070490 for what is not,
 * 0x8001010e for the wrong thread.
 */
#include "hdv-abi.h"

#include "hdv-guest.h"
#include "stand-in-links.h"

/* Do tests want this call to wait, or to fail? */
static int is_foiled(const char *function, const wchar_t *subject, HRESULT *result) {
  uint32_t wanted = 0;
  wchar_t *document = NULL;
  RecorderGate(function, subject, STAND_IN_AT_CALL);
  if (!RecorderFails(function, subject, STAND_IN_AT_CALL, &wanted, &document)) return 0;
  RecorderRelieve(document);
  *result = (HRESULT)wanted;
  return 1;
}

/* ---- COM, as much as a restricted device host needs ---- */

typedef struct ComObject ComObject;
typedef struct {
  HRESULT (WINAPI *QueryInterface)(ComObject *self, const GUID *id, void **object);
  UINT32 (WINAPI *AddRef)(ComObject *self);
  UINT32 (WINAPI *Release)(ComObject *self);
  /* IVmDeviceHostSupport */
  HRESULT (WINAPI *RegisterDeviceHost)(ComObject *self, void *deviceHost, DWORD processId, UINT64 *ipcSection);
} SupportTable;
struct ComObject { const SupportTable *table; };

static const GUID IID_UNKNOWN = {0x00000000, 0x0000, 0x0000, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};
static const GUID IID_DEVICE_HOST = {0x78523d62, 0xd919, 0x47ca, {0x9c, 0xd7, 0x08, 0x13, 0x91, 0x72, 0xd6, 0x85}};
static const GUID IID_SUPPORT = {0xe31aa49b, 0x0914, 0x465e, {0xb1, 0x45, 0x1b, 0x9b, 0xa1, 0x3e, 0xfb, 0x10}};
static const GUID IID_OTHER = {0x5d1a7c52, 0x6f0e, 0x4f6b, {0x9a, 0x77, 0x0e, 0x2d, 0x5c, 0x3b, 0x8a, 0x42}};

/* IVmDeviceHost of this library. */
typedef struct DeviceHostObject DeviceHostObject;
typedef struct {
  HRESULT (WINAPI *QueryInterface)(DeviceHostObject *self, const GUID *id, void **object);
  UINT32 (WINAPI *AddRef)(DeviceHostObject *self);
  UINT32 (WINAPI *Release)(DeviceHostObject *self);
  HRESULT (WINAPI *GetDeviceInstance)(DeviceHostObject *self, const GUID *class, const GUID *instance, void **object);
} DeviceHostTable;
struct DeviceHostObject {
  const DeviceHostTable *table;
  atomic_int references;
  Host *host;
  UINT64 ipcSection;
};

static HRESULT WINAPI query_device_host(DeviceHostObject *self, const GUID *id, void **object) {
  *object = NULL;
  if (!same_guid(id, &IID_UNKNOWN) && !same_guid(id, &IID_DEVICE_HOST)) return RESULT(0x80004002);
  atomic_fetch_add(&self->references, 1);
  *object = self;
  return OK;
}

static UINT32 WINAPI add_device_host(DeviceHostObject *self) {
  return (UINT32)(atomic_fetch_add(&self->references, 1) + 1);
}

static UINT32 WINAPI release_device_host(DeviceHostObject *self) {
  int before = atomic_fetch_sub(&self->references, 1);
  if (before <= 0) RecorderNote(subject_of(self->host), 0, "MISUSE IVmDeviceHost: released too often");
  return (UINT32)(before - 1);
}

/* What GetDeviceInstance gives: an IUnknown, one for each device. */
typedef struct InstanceObject InstanceObject;
typedef struct {
  HRESULT (WINAPI *QueryInterface)(InstanceObject *self, const GUID *id, void **object);
  UINT32 (WINAPI *AddRef)(InstanceObject *self);
  UINT32 (WINAPI *Release)(InstanceObject *self);
} InstanceTable;
struct InstanceObject {
  const InstanceTable *table;
  atomic_int references;
  Device *device;
};

static HRESULT WINAPI query_instance(InstanceObject *self, const GUID *id, void **object) {
  *object = same_guid(id, &IID_UNKNOWN) ? self : NULL;
  if (*object == NULL) return RESULT(0x80004002);
  atomic_fetch_add(&self->references, 1);
  return OK;
}

static UINT32 WINAPI add_instance(InstanceObject *self) {
  return (UINT32)(atomic_fetch_add(&self->references, 1) + 1);
}

static UINT32 WINAPI release_instance(InstanceObject *self) {
  int before = atomic_fetch_sub(&self->references, 1);
  if (before <= 0) RecorderNote(subject_of(self->device->host), 0, "MISUSE device instance: released too often");
  if (before == 1) free(self);
  return (UINT32)(before - 1);
}

static const InstanceTable instanceTable = {query_instance, add_instance, release_instance};

/* The library answers this itself: the worker process finds a device by its ids. */
static HRESULT WINAPI find_device_instance(DeviceHostObject *self, const GUID *class, const GUID *instance,
                                           void **object) {
  *object = NULL;
  lock(&state);
  Device *device = self->host->machine == NULL ? NULL : find_device(self->host->machine, instance);
  int isHere = device != NULL && device->host == self->host && same_guid(&device->classId, class);
  unlock(&state);
  if (!isHere) return NOT_FOUND;
  InstanceObject *found = calloc(1, sizeof *found);
  found->table = &instanceTable;
  atomic_store(&found->references, 1);
  found->device = device;
  *object = found;
  return OK;
}

static const DeviceHostTable deviceHostTable = {query_device_host, add_device_host, release_device_host,
                                                find_device_instance};

/* ---- Device hosts ---- */

static Host *new_host(void) {
  Host *host = calloc(1, sizeof *host);
  host->thread = current_thread();
  host->alive = 1;
  host->next = hosts;
  hosts = host;
  return host;
}

static Host *host_of(const Machine *machine, int restricted) {
  for (Host *host = hosts; host != NULL; host = host->next) {
    if (host->alive && host->machine == machine && host->restricted == restricted) return host;
  }
  return NULL;
}

static HRESULT initialize(const char *name, HCS_SYSTEM computeSystem, HDV_HOST *deviceHostHandle) {
  uint64_t system = (uint64_t)(uintptr_t)computeSystem;
  HRESULT result = OK;
  if (deviceHostHandle != NULL) *deviceHostHandle = NULL;
  if (RecorderHandle("system", system, name) == NULL || deviceHostHandle == NULL) return BAD_ARGUMENT;
  const wchar_t *subject = RecorderHandleSubject(system);
  if (is_foiled(name, subject, &result)) return result;
  lock(&state);
  Machine *machine = need_machine(subject);
  if (machine == NULL) {
    result = BAD_ARGUMENT;
  } else if (host_of(machine, 0) != NULL) {
    result = PROCESS_ALREADY_SET;
  } else {
    Host *host = new_host();
    host->machine = machine;
    host->computeSystem = system;
    host->handle = RecorderOpenHandle("host", machine->id, host);
    *deviceHostHandle = (HDV_HOST)(uintptr_t)host->handle;
  }
  unlock(&state);
  return result;
}

static uint64_t handle_in(const HDV_HOST *cell) { return cell == NULL ? 0 : (uint64_t)(uintptr_t)*cell; }

STAND_IN_EXPORT HRESULT WINAPI HdvInitializeDeviceHost(HCS_SYSTEM computeSystem, HDV_HOST *deviceHostHandle) {
  uint64_t system = (uint64_t)(uintptr_t)computeSystem;
  uint64_t line =
      RecorderBegin(RecorderHandleSubject(system), 0, "HdvInitializeDeviceHost(%h)", system);
  HRESULT result = initialize("HdvInitializeDeviceHost", computeSystem, deviceHostHandle);
  RecorderEnd(line, (uint32_t)result, HAS_FAILED(result) ? NULL : "%h", handle_in(deviceHostHandle));
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvInitializeDeviceHostEx(HCS_SYSTEM computeSystem, HDV_DEVICE_HOST_FLAGS flags,
                                                         HDV_HOST *deviceHostHandle) {
  uint64_t system = (uint64_t)(uintptr_t)computeSystem;
  uint64_t line = RecorderBegin(RecorderHandleSubject(system), 0, "HdvInitializeDeviceHostEx(%h, %d)", system,
                               (uint32_t)flags);
  HRESULT result = (uint32_t)flags > 1 ? BAD_ARGUMENT
                                       : initialize("HdvInitializeDeviceHostEx", computeSystem, deviceHostHandle);
  RecorderEnd(line, (uint32_t)result, HAS_FAILED(result) ? NULL : "%h", handle_in(deviceHostHandle));
  return result;
}

typedef struct {
  ComObject *support;
  DeviceHostObject *object;
  UINT64 ipcSection;
  HRESULT result;
} Registration;

/* On a thread of this library, as a call from another process arrives. */
static void register_step(void *argument) {
  Registration *step = argument;
  step->result = step->support->table->RegisterDeviceHost(step->support, step->object, process_id(), &step->ipcSection);
}

enum { REFERENCE_ROUNDS = 200, REFERENCE_THREADS = 4 };

typedef struct {
  ComObject *support;
  atomic_int *running;
} ReferenceRound;

static void count_references(void *argument) {
  ReferenceRound *round = argument;
  for (int i = 0; i < REFERENCE_ROUNDS; i++) round->support->table->AddRef(round->support);
  for (int i = 0; i < REFERENCE_ROUNDS; i++) round->support->table->Release(round->support);
  atomic_fetch_sub(round->running, 1);
}

/* Whether references may be counted by several threads at once. */
static void check_references(ComObject *support) {
  UINT32 before = support->table->AddRef(support);
  atomic_int running = REFERENCE_THREADS;
  ReferenceRound round = {support, &running};
  for (int i = 0; i < REFERENCE_THREADS; i++) {
    if (!start_thread(count_references, &round)) atomic_fetch_sub(&running, 1);
  }
  lock(&state);
  while (atomic_load(&running) > 0) wait_signal(&changed, &state, now_ms() + 1);
  unlock(&state);
  UINT32 after = support->table->Release(support);
  if (after != before - 1) {
    RecorderNote(NULL, 0, "MISUSE IVmDeviceHostSupport: counts references wrong, %i became %i", before - 1, after);
  }
}

static atomic_int proxiesInProgress;

static HRESULT initialize_proxy(const char *name, const GUID *deviceHostId, PVOID proxyInterface,
                                HDV_HOST *deviceHostHandle) {
  HRESULT result = OK;
  if (deviceHostHandle != NULL) *deviceHostHandle = NULL;
  if (deviceHostId == NULL) {
    RecorderNote(NULL, 0, "MISUSE %a: the id is NULL, which crashes on Windows", name);
    return BAD_ARGUMENT;
  }
  if (proxyInterface == NULL || deviceHostHandle == NULL) return BAD_ARGUMENT;
  ComObject *given = proxyInterface;
  void *queried = NULL;
  if (given->table->QueryInterface(given, &IID_OTHER, &queried) != RESULT(0x80004002) || queried != NULL) {
    RecorderNote(NULL, 0, "MISUSE IVmDeviceHostSupport: answers QueryInterface for what it is not");
  }
  result = given->table->QueryInterface(given, &IID_SUPPORT, &queried);
  if (HAS_FAILED(result)) return result;
  ComObject *support = queried;
  check_references(support);
  if (is_foiled(name, NULL, &result)) {
    support->table->Release(support);
    return result;
  }
  DeviceHostObject *object = calloc(1, sizeof *object);
  object->table = &deviceHostTable;
  atomic_store(&object->references, 1);
  lock(&state);
  Host *host = new_host();
  host->restricted = 1;
  host->support = support;
  host->object = object;
  object->host = host;
  unlock(&state);
  Registration step = {support, object, 0, OK};
  on_device_thread(register_step, &step);
  result = step.result;
  if (!HAS_FAILED(result) && (host->machine == NULL || step.ipcSection != object->ipcSection)) {
    RecorderNote(NULL, 0, "MISUSE IVmDeviceHostSupport: RegisterDeviceHost did not hand back what HdvProxyDeviceHost gave");
    result = E_UNEXPECTED_;
  }
  if (HAS_FAILED(result)) {
    lock(&state);
    host->alive = 0;
    unlock(&state);
    support->table->Release(support);
    return result;
  }
  host->handle = RecorderOpenHandle("host", host->machine->id, host);
  *deviceHostHandle = (HDV_HOST)(uintptr_t)host->handle;
  return OK;
}

static HRESULT initialize_one_proxy(const char *name, const GUID *deviceHostId, PVOID proxyInterface,
                                    HDV_HOST *deviceHostHandle) {
  if (atomic_fetch_add(&proxiesInProgress, 1) > 0) {
    atomic_fetch_sub(&proxiesInProgress, 1);
    return ACCESS_DENIED;
  }
  HRESULT result = initialize_proxy(name, deviceHostId, proxyInterface, deviceHostHandle);
  atomic_fetch_sub(&proxiesInProgress, 1);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvInitializeDeviceHostForProxy(const GUID *deviceHostId, PVOID proxyInterface,
                                                               HDV_HOST *deviceHostHandle) {
  uint64_t line = RecorderBegin(NULL, 0, "HdvInitializeDeviceHostForProxy(%g, %p)", deviceHostId, proxyInterface);
  HRESULT result =
      initialize_one_proxy("HdvInitializeDeviceHostForProxy", deviceHostId, proxyInterface, deviceHostHandle);
  RecorderEnd(line, (uint32_t)result, HAS_FAILED(result) ? NULL : "%h", handle_in(deviceHostHandle));
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvInitializeDeviceHostForProxyEx(const GUID *deviceHostId, PVOID proxyInterface,
                                                                 HDV_DEVICE_HOST_FLAGS flags,
                                                                 HDV_HOST *deviceHostHandle) {
  uint64_t line = RecorderBegin(NULL, 0, "HdvInitializeDeviceHostForProxyEx(%g, %p, %d)", deviceHostId, proxyInterface,
                               (uint32_t)flags);
  HRESULT result = (uint32_t)flags > 1 ? BAD_ARGUMENT
                                       : initialize_one_proxy("HdvInitializeDeviceHostForProxyEx", deviceHostId,
                                                              proxyInterface, deviceHostHandle);
  RecorderEnd(line, (uint32_t)result, HAS_FAILED(result) ? NULL : "%h", handle_in(deviceHostHandle));
  return result;
}

static HRESULT proxy(uint64_t system, PVOID deviceHost, DWORD targetProcessId, UINT64 *ipcSectionHandle) {
  static UINT64 sections = 0x1f00000000;
  HRESULT result = OK;
  if (RecorderHandle("system", system, "HdvProxyDeviceHost") == NULL) return BAD_ARGUMENT;
  if (deviceHost == NULL || ipcSectionHandle == NULL || targetProcessId != process_id()) return BAD_ARGUMENT;
  const wchar_t *subject = RecorderHandleSubject(system);
  if (is_foiled("HdvProxyDeviceHost", subject, &result)) return result;
  DeviceHostObject *object = deviceHost;
  void *queried = NULL;
  result = object->table->QueryInterface(object, &IID_DEVICE_HOST, &queried);
  if (HAS_FAILED(result)) return result;
  object->table->Release(object);
  lock(&state);
  object->host->machine = need_machine(subject);
  object->host->computeSystem = system;
  object->ipcSection = ++sections;
  *ipcSectionHandle = object->ipcSection;
  unlock(&state);
  return OK;
}

STAND_IN_EXPORT HRESULT WINAPI HdvProxyDeviceHost(HCS_SYSTEM computeSystem, PVOID deviceHost, DWORD targetProcessId,
                                                  UINT64 *ipcSectionHandle) {
  uint64_t system = (uint64_t)(uintptr_t)computeSystem;
  uint64_t line = RecorderBegin(RecorderHandleSubject(system), 0, "HdvProxyDeviceHost(%h, %p, %a)", system, deviceHost,
                               targetProcessId == process_id() ? "this process" : "another process");
  HRESULT result = proxy(system, deviceHost, targetProcessId, ipcSectionHandle);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

/* Stop and Teardown of what runs; everything that was mapped goes. */
static void end_device(Device *device, int isHostEnding) {
  take_down(device);
  if (!isHostEnding) return;
  atomic_store(&device->state, DEAD);
  lock(&state);
  Aperture *mapped = device->mapped;
  device->mapped = NULL;
  unlock(&state);
  while (mapped != NULL) {
    Aperture *next = mapped->next;
    close_view(&mapped->view);
    RecorderCloseHandle("aperture", mapped->handle, "HdvTeardownDeviceHost");
    lock(&state);
    device->host->machine->apertures--;
    unlock(&state);
    free(mapped);
    mapped = next;
  }
}

static HRESULT tear_down(Host *host) {
  HRESULT result = OK;
  if (host->thread != current_thread()) {
    RecorderNote(subject_of(host), 0, "MISUSE HdvTeardownDeviceHost: not the thread that initialized %h", host->handle);
    return WRONG_THREAD;
  }
  if (is_foiled("HdvTeardownDeviceHost", subject_of(host), &result)) return result;
  if (RecorderHandleSubject(host->computeSystem) == NULL || RecorderAnyHandle("system", host->computeSystem) == NULL) {
    RecorderNote(subject_of(host), 0, "MISUSE HdvTeardownDeviceHost: the system of %h is not open any more", host->handle);
  }
  for (Device *device = devices; device != NULL; device = device->next) {
    if (device->host != host) continue;
    end_device(device, 1);
    RecorderCloseHandle("device", device->handle, "HdvTeardownDeviceHost");
  }
  lock(&state);
  host->alive = 0;
  unlock(&state);
  if (host->support != NULL) ((ComObject *)host->support)->table->Release(host->support);
  RecorderCloseHandle("host", host->handle, "HdvTeardownDeviceHost");
  return OK;
}

STAND_IN_EXPORT HRESULT WINAPI HdvTeardownDeviceHost(HDV_HOST deviceHostHandle) {
  uint64_t handle = (uint64_t)(uintptr_t)deviceHostHandle;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvTeardownDeviceHost(%h)", handle);
  Host *host = RecorderHandle("host", handle, "HdvTeardownDeviceHost");
  HRESULT result = host == NULL ? BAD_HANDLE : tear_down(host);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

static HRESULT create_instance(Host *host, uint32_t type, const GUID *class, const GUID *instance,
                               const HDV_PCI_DEVICE_INTERFACE *table, void *context, HDV_DEVICE *deviceHandle) {
  HRESULT result = OK;
  if (deviceHandle != NULL) *deviceHandle = NULL;
  if (type != 1 || class == NULL || instance == NULL || table == NULL || deviceHandle == NULL) return BAD_ARGUMENT;
  if (table->Version != 1) return BAD_ARGUMENT;
  if (is_foiled("HdvCreateDeviceInstance", subject_of(host), &result)) return result;
  lock(&state);
  if (find_device(host->machine, instance) != NULL) {
    result = ALREADY_EXISTS;
  } else {
    Device *device = calloc(1, sizeof *device);
    device->host = host;
    device->classId = *class;
    device->instanceId = *instance;
    device->table = table;
    device->asCreated = *table;
    device->context = context;
    device->handle = RecorderOpenHandle("device", subject_of(host), device);
    *deviceHandle = (HDV_DEVICE)(uintptr_t)device->handle;
    Device **last = &devices;
    while (*last != NULL) last = &(*last)->next;
    *last = device;
  }
  unlock(&state);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvCreateDeviceInstance(HDV_HOST deviceHostHandle, HDV_DEVICE_TYPE deviceType,
                                                       const GUID *deviceClassId, const GUID *deviceInstanceId,
                                                       const void *deviceInterface, void *deviceContext,
                                                       HDV_DEVICE *deviceHandle) {
  uint64_t handle = (uint64_t)(uintptr_t)deviceHostHandle;
  const HDV_PCI_DEVICE_INTERFACE *table = deviceInterface;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvCreateDeviceInstance(%h, %i, %g, %g, version %i, %p)",
                               handle, (uint32_t)deviceType, deviceClassId, deviceInstanceId,
                               table == NULL ? 0 : (uint32_t)table->Version, deviceContext);
  Host *host = RecorderHandle("host", handle, "HdvCreateDeviceInstance");
  HRESULT result = host == NULL ? BAD_HANDLE
                                : create_instance(host, (uint32_t)deviceType, deviceClassId, deviceInstanceId, table,
                                                  deviceContext, deviceHandle);
  RecorderEnd(line, (uint32_t)result, HAS_FAILED(result) ? NULL : "%h",
             HAS_FAILED(result) ? 0 : (uint64_t)(uintptr_t)*deviceHandle);
  return result;
}

/* ---- Guest memory ---- */

/* Once Stop has returned, a device leaves memory and interrupts alone. */
static void check_running(Device *device, const char *function) {
  int was = atomic_load(&device->state);
  if (was == STOPPED || was == DEAD) {
    RecorderNote(subject_of(device->host), 0, "MISUSE %a: %h has been stopped", function, device->handle);
  }
}

static Device *device_of(HDV_DEVICE requestor, const char *function) {
  return RecorderHandle("device", (uint64_t)(uintptr_t)requestor, function);
}

static HRESULT copy_memory(Device *device, const char *function, uint64_t gpa, uint32_t bytes, BYTE *into,
                           const BYTE *from) {
  HRESULT result = OK;
  if (is_foiled(function, subject_of(device->host), &result)) return result;
  if (device->host->restricted) return ACCESS_DENIED;
  if (bytes > 0 && into == NULL && from == NULL) return BAD_ARGUMENT;
  check_running(device, function);
  lock(&state);
  uint8_t *at = guest_bytes(device->host->machine, gpa, bytes);
  if (at == NULL) result = BAD_ADDRESS;
  else if (into != NULL) memcpy(into, at, bytes);
  else if (from != NULL) memcpy(at, from, bytes);
  unlock(&state);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvReadGuestMemory(HDV_DEVICE requestor, UINT64 guestPhysicalAddress, UINT32 byteCount,
                                                  BYTE *buffer) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvReadGuestMemory(%h, %x, %d)", handle,
                               guestPhysicalAddress, byteCount);
  Device *device = device_of(requestor, "HdvReadGuestMemory");
  HRESULT result = device == NULL ? BAD_HANDLE
                                  : copy_memory(device, "HdvReadGuestMemory", guestPhysicalAddress, byteCount, buffer, NULL);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvWriteGuestMemory(HDV_DEVICE requestor, UINT64 guestPhysicalAddress, UINT32 byteCount,
                                                   const BYTE *buffer) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvWriteGuestMemory(%h, %x, %d)", handle,
                               guestPhysicalAddress, byteCount);
  Device *device = device_of(requestor, "HdvWriteGuestMemory");
  HRESULT result = device == NULL ? BAD_HANDLE
                                  : copy_memory(device, "HdvWriteGuestMemory", guestPhysicalAddress, byteCount, NULL, buffer);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

static HRESULT create_aperture(Device *device, uint64_t gpa, uint32_t bytes, int writable, PVOID *mapped,
                               uint64_t *handle) {
  Machine *machine = device->host->machine;
  HRESULT result = OK;
  if (mapped == NULL) return BAD_ARGUMENT;
  *mapped = NULL;
  if (is_foiled("HdvCreateGuestMemoryAperture", machine->id, &result)) return result;
  if (bytes == 0) return BAD_ARGUMENT;
  if (gpa % PAGE_BYTES != 0 || bytes % PAGE_BYTES != 0) {
    RecorderNote(machine->id, 0, "MISUSE HdvCreateGuestMemoryAperture: %x and %d are no whole pages", gpa, bytes);
    return BAD_ARGUMENT;
  }
  check_running(device, "HdvCreateGuestMemoryAperture");
  lock(&state);
  uint64_t offset = store_offset(machine, gpa, bytes);
  if (offset == UINT64_MAX) {
    result = BAD_ADDRESS;
  } else if (machine->apertures >= machine->quota) {
    result = NO_QUOTA;
  } else {
    Aperture *aperture = calloc(1, sizeof *aperture);
    if (open_view(&aperture->view, machine->store, offset, bytes, writable)) {
      aperture->handle = RecorderOpenHandle("aperture", machine->id, aperture);
      aperture->next = device->mapped;
      device->mapped = aperture;
      machine->apertures++;
      *mapped = aperture->view.bytes;
      *handle = aperture->handle;
    } else {
      free(aperture);
      result = NO_QUOTA;
    }
  }
  unlock(&state);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvCreateGuestMemoryAperture(HDV_DEVICE requestor, UINT64 guestPhysicalAddress,
                                                            UINT32 byteCount, BOOL writeProtected,
                                                            PVOID *mappedAddress) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t aperture = 0;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvCreateGuestMemoryAperture(%h, %x, %d, %i)", handle,
                               guestPhysicalAddress, byteCount, (uint32_t)writeProtected);
  Device *device = device_of(requestor, "HdvCreateGuestMemoryAperture");
  HRESULT result = device == NULL ? BAD_HANDLE
                                  : create_aperture(device, guestPhysicalAddress, byteCount, !writeProtected,
                                                    mappedAddress, &aperture);
  RecorderEnd(line, (uint32_t)result, HAS_FAILED(result) ? NULL : "%h", aperture);
  return result;
}

/* Takes the aperture that begins here out of the device's list. */
static Aperture *take_aperture(Device *device, const void *mappedAddress) {
  lock(&state);
  Aperture **at = &device->mapped;
  while (*at != NULL && (*at)->view.bytes != mappedAddress) at = &(*at)->next;
  Aperture *aperture = *at;
  if (aperture != NULL) {
    *at = aperture->next;
    device->host->machine->apertures--;
  }
  unlock(&state);
  return aperture;
}

STAND_IN_EXPORT HRESULT WINAPI HdvDestroyGuestMemoryAperture(HDV_DEVICE requestor, PVOID mappedAddress) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  // A device that is closed is reported by device_of: on Windows this crashes.
  Device *device = device_of(requestor, "HdvDestroyGuestMemoryAperture");
  HRESULT result = OK;
  Aperture *aperture = device == NULL ? NULL : take_aperture(device, mappedAddress);
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvDestroyGuestMemoryAperture(%h, %h)", handle,
                               aperture == NULL ? 0 : aperture->handle);
  if (device == NULL) {
    result = BAD_HANDLE;
  } else if (aperture == NULL) {
    RecorderNote(subject_of(device->host), 0, "MISUSE HdvDestroyGuestMemoryAperture: %h has no such aperture", handle);
    result = BAD_ARGUMENT;
  } else {
    close_view(&aperture->view);
    RecorderCloseHandle("aperture", aperture->handle, "HdvDestroyGuestMemoryAperture");
    free(aperture);
  }
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

/* ---- Interrupts ---- */

static HRESULT deliver(Device *device, uint64_t address, uint32_t data) {
  Machine *machine = device->host->machine;
  HRESULT result = OK;
  if (is_foiled("HdvDeliverGuestInterrupt", machine->id, &result)) return result;
  check_running(device, "HdvDeliverGuestInterrupt");
  lock(&state);
  if (machine->messageCount == machine->messageRoom) {
    machine->messageRoom = machine->messageRoom == 0 ? 64 : 2 * machine->messageRoom;
    machine->messages = realloc(machine->messages, machine->messageRoom * sizeof(Message));
  }
  machine->messages[machine->messageCount++] = (Message){device->slot, data, address};
  signal_all(&changed);
  unlock(&state);
  return OK;
}

STAND_IN_EXPORT HRESULT WINAPI HdvDeliverGuestInterrupt(HDV_DEVICE requestor, UINT64 msiAddress, UINT32 msiData) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t line =
      RecorderBegin(RecorderHandleSubject(handle), 0, "HdvDeliverGuestInterrupt(%h, %x, %d)", handle, msiAddress, msiData);
  Device *device = device_of(requestor, "HdvDeliverGuestInterrupt");
  HRESULT result = device == NULL ? BAD_HANDLE : deliver(device, msiAddress, msiData);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

/* ---- Doorbells ---- */

static Doorbell **find_doorbell(Device *device, const Doorbell *like) {
  Doorbell **at = &device->doorbells;
  for (; *at != NULL; at = &(*at)->next) {
    const Doorbell *bell = *at;
    if (bell->bar == like->bar && bell->isPage == like->isPage && bell->offset == like->offset &&
        bell->value == like->value && bell->flags == like->flags) {
      break;
    }
  }
  return at;
}

static HRESULT register_doorbell(Device *device, const char *function, Doorbell like) {
  HRESULT result = OK;
  if (is_foiled(function, subject_of(device->host), &result)) return result;
  if (device->host->restricted) return ACCESS_DENIED;
  if (like.bar >= BARS || (like.flags & ~0x80000007ull) != 0 || (like.flags & 7) > 4) return BAD_ARGUMENT;
  if (!is_open(like.given)) return BAD_HANDLE;
  lock(&state);
  if (*find_doorbell(device, &like) != NULL) {
    result = ALREADY_EXISTS;
  } else {
    Doorbell *bell = malloc(sizeof *bell);
    *bell = like;
    bell->event = duplicate(like.given);
    bell->next = device->doorbells;
    device->doorbells = bell;
    atomic_fetch_add(&device->tricks, 1);
  }
  unlock(&state);
  return result;
}

static HRESULT unregister_doorbell(Device *device, const char *function, Doorbell like) {
  HRESULT result = OK;
  if (is_foiled(function, subject_of(device->host), &result)) return result;
  if (device->host->restricted) return ACCESS_DENIED;
  lock(&state);
  Doorbell **at = find_doorbell(device, &like);
  Doorbell *bell = *at;
  if (bell != NULL) {
    *at = bell->next;
    atomic_fetch_sub(&device->tricks, 1);
  }
  unlock(&state);
  if (bell == NULL) return NOT_FOUND;
  if (!is_open(bell->given)) {
    RecorderNote(subject_of(device->host), 0, "MISUSE %a: the event was closed before", function);
  }
  close_duplicate(bell->event);
  free(bell);
  return OK;
}

STAND_IN_EXPORT HRESULT WINAPI HdvRegisterDoorbell(HDV_DEVICE requestor, HDV_PCI_BAR_SELECTOR BarIndex,
                                                   UINT64 BarOffset, UINT64 TriggerValue, UINT64 Flags,
                                                   HANDLE DoorbellEvent) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvRegisterDoorbell(%h, %i, %x, %x, %x, %p)", handle,
                               (uint32_t)BarIndex, BarOffset, TriggerValue, Flags, DoorbellEvent);
  Device *device = device_of(requestor, "HdvRegisterDoorbell");
  Doorbell like = {.bar = (uint32_t)BarIndex, .offset = BarOffset, .value = TriggerValue, .flags = Flags,
                   .given = DoorbellEvent};
  HRESULT result = device == NULL ? BAD_HANDLE : register_doorbell(device, "HdvRegisterDoorbell", like);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvUnregisterDoorbell(HDV_DEVICE requestor, HDV_PCI_BAR_SELECTOR BarIndex,
                                                     UINT64 BarOffset, UINT64 TriggerValue, UINT64 Flags) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvUnregisterDoorbell(%h, %i, %x, %x, %x)", handle,
                               (uint32_t)BarIndex, BarOffset, TriggerValue, Flags);
  Device *device = device_of(requestor, "HdvUnregisterDoorbell");
  Doorbell like = {.bar = (uint32_t)BarIndex, .offset = BarOffset, .value = TriggerValue, .flags = Flags};
  HRESULT result = device == NULL ? BAD_HANDLE : unregister_doorbell(device, "HdvUnregisterDoorbell", like);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvRegisterDoorbellPage(HDV_DEVICE requestor, HDV_PCI_BAR_SELECTOR barIndex,
                                                       UINT64 pageIndex, HANDLE doorbellEvent) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvRegisterDoorbellPage(%h, %i, %x, %p)", handle,
                               (uint32_t)barIndex, pageIndex, doorbellEvent);
  Device *device = device_of(requestor, "HdvRegisterDoorbellPage");
  Doorbell like = {.bar = (uint32_t)barIndex, .isPage = 1, .offset = pageIndex, .given = doorbellEvent};
  HRESULT result = device == NULL ? BAD_HANDLE : register_doorbell(device, "HdvRegisterDoorbellPage", like);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvUnregisterDoorbellPage(HDV_DEVICE requestor, HDV_PCI_BAR_SELECTOR barIndex,
                                                         UINT64 pageIndex) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvUnregisterDoorbellPage(%h, %i, %x)", handle,
                               (uint32_t)barIndex, pageIndex);
  Device *device = device_of(requestor, "HdvUnregisterDoorbellPage");
  Doorbell like = {.bar = (uint32_t)barIndex, .isPage = 1, .offset = pageIndex};
  HRESULT result = device == NULL ? BAD_HANDLE : unregister_doorbell(device, "HdvUnregisterDoorbellPage", like);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

/* ---- Section-backed ranges ---- */

static HRESULT create_range(Device *device, uint32_t bar, uint64_t page, uint64_t pages, uint32_t flags, HANDLE section,
                            uint64_t sectionPage) {
  HRESULT result = OK;
  if (is_foiled("HdvCreateSectionBackedMmioRange", subject_of(device->host), &result)) return result;
  if (device->host->restricted) return ACCESS_DENIED;
  if (bar >= BARS || pages == 0 || (flags & ~3u) != 0) return BAD_ARGUMENT;
  if (!is_open(section)) return BAD_HANDLE;
  int isStarted = atomic_load(&device->state) == STARTED;
  if (isStarted && (page + pages) * PAGE_BYTES > device->barSize[bar]) return BAD_ARGUMENT;
  Range *range = calloc(1, sizeof *range);
  *range = (Range){.bar = bar, .page = page, .pages = pages, .flags = flags};
  lock(&state);
  for (Range *other = device->ranges; other != NULL; other = other->next) {
    if (other->bar == bar && other->page < page + pages && page < other->page + other->pages) result = ALREADY_EXISTS;
  }
  if (!HAS_FAILED(result)) {
    Store store = store_of_section(section);
    if (open_view(&range->view, store, sectionPage * PAGE_BYTES, pages * PAGE_BYTES, (flags & 1) != 0)) {
      range->next = device->ranges;
      device->ranges = range;
      atomic_fetch_add(&device->tricks, 1);
    } else {
      result = BAD_ARGUMENT;
    }
  }
  unlock(&state);
  if (HAS_FAILED(result)) free(range);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HdvCreateSectionBackedMmioRange(HDV_DEVICE requestor, HDV_PCI_BAR_SELECTOR barIndex,
                                                               UINT64 offsetInPages, UINT64 lengthInPages,
                                                               HDV_MMIO_MAPPING_FLAGS MappingFlags,
                                                               HANDLE sectionHandle, UINT64 sectionOffsetInPages) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0,
                               "HdvCreateSectionBackedMmioRange(%h, %i, %x, %x, %d, %p, %x)", handle,
                               (uint32_t)barIndex, offsetInPages, lengthInPages, (uint32_t)MappingFlags, sectionHandle,
                               sectionOffsetInPages);
  Device *device = device_of(requestor, "HdvCreateSectionBackedMmioRange");
  HRESULT result = device == NULL ? BAD_HANDLE
                                  : create_range(device, (uint32_t)barIndex, offsetInPages, lengthInPages,
                                                 (uint32_t)MappingFlags, sectionHandle, sectionOffsetInPages);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

static HRESULT destroy_range(Device *device, uint32_t bar, uint64_t page) {
  HRESULT result = OK;
  if (is_foiled("HdvDestroySectionBackedMmioRange", subject_of(device->host), &result)) return result;
  if (device->host->restricted) return ACCESS_DENIED;
  lock(&state);
  Range **at = &device->ranges;
  while (*at != NULL && ((*at)->bar != bar || (*at)->page != page)) at = &(*at)->next;
  Range *range = *at;
  if (range != NULL) {
    *at = range->next;
    atomic_fetch_sub(&device->tricks, 1);
    close_view(&range->view);
  }
  unlock(&state);
  free(range);
  return range == NULL ? NOT_FOUND : OK;
}

STAND_IN_EXPORT HRESULT WINAPI HdvDestroySectionBackedMmioRange(HDV_DEVICE requestor, HDV_PCI_BAR_SELECTOR barIndex,
                                                                UINT64 offsetInPages) {
  uint64_t handle = (uint64_t)(uintptr_t)requestor;
  uint64_t line = RecorderBegin(RecorderHandleSubject(handle), 0, "HdvDestroySectionBackedMmioRange(%h, %i, %x)", handle,
                               (uint32_t)barIndex, offsetInPages);
  Device *device = device_of(requestor, "HdvDestroySectionBackedMmioRange");
  HRESULT result = device == NULL ? BAD_HANDLE : destroy_range(device, (uint32_t)barIndex, offsetInPages);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

/* ---- What computecore's stand-in asks: stand-in-links.h ---- */

/* Classes of which a machine takes any number on restricted hosts. */
static int is_well_known(const GUID *class) {
  static const GUID known[] = {
      {0x872270e1, 0xa899, 0x4af6, {0xb4, 0x54, 0x71, 0x93, 0x63, 0x44, 0x35, 0xad}},
      {0xf07010d0, 0x0ea9, 0x447f, {0x88, 0xef, 0xbd, 0x95, 0x2a, 0x4d, 0x2f, 0x14}},
      {0xedbb24bb, 0x5e19, 0x40f4, {0x8a, 0x0f, 0x82, 0x24, 0x31, 0x30, 0x64, 0xfd}},
      {0xfc36c5c6, 0x7a87, 0x4841, {0xa4, 0x7a, 0x1d, 0x35, 0x29, 0x87, 0x05, 0x5b}},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (same_guid(class, &known[i])) return 1;
  }
  return 0;
}

static void write_guid(const GUID *guid, wchar_t *text) {
  static const int places[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  const uint8_t *bytes = (const uint8_t *)guid;
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *text++ = '-';
    *text++ = L"0123456789abcdef"[bytes[places[i]] >> 4];
    *text++ = L"0123456789abcdef"[bytes[places[i]] & 15];
  }
  *text = 0;
}

/* A GUID in its text form. */
static int parse_guid(const wchar_t *text, GUID *guid) {
  static const int places[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  uint8_t bytes[16];
  int digits = 0;
  for (; text != NULL && *text != 0; text++) {
    if (*text == '-' || *text == '{' || *text == '}') continue;
    int digit = *text >= '0' && *text <= '9'   ? *text - '0'
                : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10
                : *text >= 'A' && *text <= 'F' ? *text - 'A' + 10
                                               : -1;
    if (digit < 0 || digits == 32) return 0;
    uint8_t *byte = &bytes[places[digits / 2]];
    *byte = (uint8_t)(digits % 2 == 0 ? digit << 4 : *byte | digit);
    digits++;
  }
  memcpy(guid, bytes, sizeof *guid);
  return digits == 32;
}

/* The device that an entry names: a restricted device host is asked for it, through its registered object. */
static Device *find_entry(const Entry *entry, const Machine *machine) {
  lock(&state);
  Host *host = entry->restricted ? host_of(machine, 1) : NULL;
  Device *device = entry->restricted ? NULL : find_device(machine, &entry->instanceId);
  unlock(&state);
  if (host != NULL) {
    void *object = NULL;
    HRESULT result = host->object->table->GetDeviceInstance(host->object, &entry->classId, &entry->instanceId, &object);
    if (!HAS_FAILED(result)) {
      InstanceObject *instance = object;
      device = instance->device;
      instance->table->Release(instance);
    }
  }
  return device;
}

/* May the device be brought up now? State is locked. */
static HRESULT check_entry(const Entry *entry, Machine *machine, const Device *device) {
  if (device == NULL || !same_guid(&device->classId, &entry->classId)) return E_UNEXPECTED_;
  if (device->host->restricted != entry->restricted || atomic_load(&device->state) != CREATED) return E_UNEXPECTED_;
  if (entry->restricted && !is_well_known(&entry->classId)) {
    if (machine->hasCustomClass) return SECOND_CLASS;
    machine->hasCustomClass = 1;
  }
  return OK;
}

static HRESULT bring_up_entry(const Entry *entry, Machine *machine) {
  Device *device = find_entry(entry, machine);
  lock(&state);
  HRESULT result = check_entry(entry, machine, device);
  unlock(&state);
  return HAS_FAILED(result) ? result : bring_up(device, entry->count, (const wchar_t *const *)entry->values);
}

static void free_entry(Entry *entry) {
  for (uint32_t i = 0; i < entry->count; i++) free(entry->values[i]);
  free(entry);
}

STAND_IN_EXPORT HRESULT StandInCreateSystem(StandInString systemId, UINT64 memoryInMB) {
  lock(&state);
  uint64_t before = memoryBytes;
  if (memoryInMB != 0) memoryBytes = memoryInMB << 20;
  Machine *machine = need_machine(systemId);
  memoryBytes = before;
  unlock(&state);
  return machine == NULL ? BAD_ARGUMENT : OK;
}

STAND_IN_EXPORT HRESULT StandInOpenSystemHandle(void *computeSystem, StandInString systemId) {
  (void)computeSystem;
  (void)systemId;
  return OK;
}

STAND_IN_EXPORT void StandInCloseSystemHandle(void *computeSystem) {
  lock(&state);
  for (Host *host = hosts; host != NULL; host = host->next) {
    if (!host->alive || host->computeSystem != (uint64_t)(uintptr_t)computeSystem) continue;
    RecorderNote(subject_of(host), 0, "MISUSE HcsCloseComputeSystem: %h lives on the handle %h", host->handle,
                host->computeSystem);
  }
  unlock(&state);
}

STAND_IN_EXPORT HRESULT StandInAttachDevice(StandInString systemId, StandInString instanceId, StandInString emulatorId,
                                            StandInString hostingModel, const StandInString *configuration,
                                            UINT32 count) {
  Entry *entry = calloc(1, sizeof *entry);
  entry->restricted = wide_equal(hostingModel, L"ExternalRestricted");
  int isKnown = entry->restricted || wide_equal(hostingModel, L"External");
  if (!isKnown || count > MAX_VALUES || !parse_guid(instanceId, &entry->instanceId) ||
      !parse_guid(emulatorId, &entry->classId)) {
    free_entry(entry);
    return E_UNEXPECTED_;
  }
  for (; entry->count < count; entry->count++) entry->values[entry->count] = wide_copy(configuration[entry->count]);
  lock(&state);
  Machine *machine = need_machine(systemId);
  int isRunning = machine != NULL && machine->running;
  if (machine != NULL && !isRunning) {
    Entry **last = &machine->entries;
    while (*last != NULL) last = &(*last)->next;
    *last = entry;
  }
  unlock(&state);
  if (machine != NULL && !isRunning) return OK;
  HRESULT result = machine == NULL ? E_UNEXPECTED_ : bring_up_entry(entry, machine);
  free_entry(entry);
  return result;
}

STAND_IN_EXPORT HRESULT StandInDetachDevice(StandInString systemId, StandInString instanceId) {
  GUID id;
  lock(&state);
  Machine *machine = find_machine(systemId);
  Device *device = machine == NULL || !parse_guid(instanceId, &id) ? NULL : find_device(machine, &id);
  unlock(&state);
  if (device == NULL) return NOT_FOUND;
  take_down(device);
  // The instance lives on, and may be added again.
  atomic_store(&device->state, CREATED);
  return OK;
}

static void take_down_all(Machine *machine) {
  for (Device *device = devices; device != NULL; device = device->next) {
    if (device->host->machine == machine) take_down(device);
  }
}

STAND_IN_EXPORT HRESULT StandInStartSystem(StandInString systemId, wchar_t *failedInstance) {
  lock(&state);
  Machine *machine = need_machine(systemId);
  Entry *entry = machine == NULL ? NULL : machine->entries;
  if (machine != NULL) {
    machine->entries = NULL;
    machine->running = 1;
  }
  unlock(&state);
  HRESULT result = machine == NULL ? BAD_ARGUMENT : OK;
  while (entry != NULL) {
    Entry *next = entry->next;
    if (!HAS_FAILED(result)) {
      result = bring_up_entry(entry, machine);
      if (HAS_FAILED(result) && failedInstance != NULL) write_guid(&entry->instanceId, failedInstance);
    }
    free_entry(entry);
    entry = next;
  }
  if (HAS_FAILED(result) && machine != NULL) {
    machine->running = 0;
    take_down_all(machine);
  }
  return result;
}

STAND_IN_EXPORT HRESULT StandInDetachSystem(StandInString systemId) {
  lock(&state);
  Machine *machine = find_machine(systemId);
  unlock(&state);
  if (machine == NULL) return NOT_FOUND;
  take_down_all(machine);
  lock(&state);
  machine->ended = 1;
  close_view(&machine->ram);
  // Apertures are mappings of their own, and stay until the device host is torn down.
  close_store(machine->store);
  free(machine->messages);
  machine->messages = NULL;
  machine->messageCount = machine->messageRoom = 0;
  machine->low = machine->high = 0;
  signal_all(&changed);
  unlock(&state);
  return OK;
}

STAND_IN_EXPORT HRESULT StandInPauseSystem(StandInString systemId) {
  lock(&state);
  Machine *machine = find_machine(systemId);
  unlock(&state);
  for (Device *device = machine == NULL ? NULL : devices; device != NULL; device = device->next) {
    BringUp step = {device, 0, NULL, OK};
    if (device->host->machine == machine && atomic_load(&device->state) == STARTED) on_device_thread(stop_step, &step);
  }
  return OK;
}

STAND_IN_EXPORT HRESULT StandInResumeSystem(StandInString systemId) {
  HRESULT result = OK;
  lock(&state);
  Machine *machine = find_machine(systemId);
  unlock(&state);
  for (Device *device = machine == NULL ? NULL : devices; device != NULL; device = device->next) {
    BringUp step = {device, 0, NULL, OK};
    if (device->host->machine != machine || atomic_load(&device->state) != STOPPED) continue;
    /* From here on it may act, as in the first Start. */
    atomic_store(&device->state, INITIALIZED);
    on_device_thread(start_step, &step);
    if (HAS_FAILED(step.result)) result = step.result;
    atomic_store(&device->state, HAS_FAILED(step.result) ? STOPPED : STARTED);
  }
  return result;
}

/* ---- What tests set ---- */

/*
 * Settings of machines that are made from now on, and with a system id those of that machine:
 *   memoryMB     size of guest memory (default 256)
 *   lowEndMB     where its low part ends at the latest (default 3840)
 *   forwards     1: the platform passes writes of BARs and command register on to devices (default 0)
 *   quota        apertures that a machine may have (default 1024)
 *   logAccesses  1: config and memory callbacks get lines too (default 0; always of all machines)
 */
STAND_IN_EXPORT HRESULT StandInSet(StandInString systemId, StandInString name, UINT64 value) {
  HRESULT result = OK;
  lock(&state);
  Machine *machine = systemId == NULL ? NULL : need_machine(systemId);
  if (wide_equal(name, L"logAccesses")) isLoggingAccesses = value != 0;
  else if (wide_equal(name, L"quota") && machine != NULL) machine->quota = (uint32_t)value;
  else if (wide_equal(name, L"forwards") && machine != NULL) machine->forwards = value != 0;
  else if (machine != NULL) result = BAD_ARGUMENT;
  else if (wide_equal(name, L"quota")) defaultQuota = (uint32_t)value;
  else if (wide_equal(name, L"forwards")) forwardsByDefault = value != 0;
  else if (wide_equal(name, L"memoryMB")) memoryBytes = value << 20;
  else if (wide_equal(name, L"lowEndMB")) lowEnd = value << 20;
  else result = BAD_ARGUMENT;
  unlock(&state);
  return result;
}

/* An open handle of a compute system that no service has, for tests of this library alone. */
STAND_IN_EXPORT HRESULT StandInOpenSystem(const wchar_t *systemId, UINT64 *computeSystem) {
  lock(&state);
  Machine *machine = need_machine(systemId);
  unlock(&state);
  if (machine == NULL) return BAD_ARGUMENT;
  *computeSystem = RecorderOpenHandle("system", machine->id, machine);
  return OK;
}

/* Closes it; the machine goes as if the service had ended it. */
STAND_IN_EXPORT HRESULT StandInCloseSystem(const wchar_t *systemId, UINT64 computeSystem) {
  StandInDetachSystem(systemId);
  return RecorderCloseHandle("system", computeSystem, "StandInCloseSystem") == NULL ? BAD_HANDLE : OK;
}
