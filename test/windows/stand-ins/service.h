/*
 * The small service behind the stand-in of computecore: systems, processes, operations and the clients that hold them.
 * Objects are never freed, so that a stale handle or a late callback finds what it once was.
 */
#ifndef STAND_IN_SERVICE_H
#define STAND_IN_SERVICE_H

#include "platform.h"

#include "hcs-abi.h"
#include "json.h"
#include "recorder.h"
#include "stand-in-links.h"

#define RESULT_OK ((HRESULT)0)
#define RESULT(code) ((HRESULT)(uint32_t)(code))

#define E_NOTIMPL_ RESULT(0x80004001)
#define E_UNEXPECTED_ RESULT(0x8000ffff)
#define ACCESS_DENIED_ RESULT(0x80070005)
#define INVALID_HANDLE_ RESULT(0x80070006)
#define NOT_SUPPORTED_ RESULT(0x80070032)
#define INVALID_ARGUMENT_ RESULT(0x80070057)
#define ALREADY_EXISTS_ RESULT(0x800700b7)
#define NOT_FOUND_ RESULT(0x80070490)
#define TERMINATED_DURING_START_ RESULT(0x80370100)
#define INVALID_STATE_ RESULT(0x80370105)
#define UNEXPECTED_EXIT_ RESULT(0x80370106)
#define TERMINATED_ RESULT(0x80370107)
#define CONNECTION_CLOSED_ RESULT(0x8037010a)
#define INVALID_JSON_ RESULT(0x8037010d)
#define SYSTEM_NOT_FOUND_ RESULT(0x8037010e)
#define SYSTEM_ALREADY_EXISTS_ RESULT(0x8037010f)
#define SYSTEM_ALREADY_STOPPED_ RESULT(0x80370110)
#define OPERATION_NOT_STARTED_ RESULT(0x80370115)
#define OPERATION_ALREADY_STARTED_ RESULT(0x80370116)
#define OPERATION_PENDING_ RESULT(0x80370117)
#define OPERATION_TIMEOUT_ RESULT(0x80370118)
#define CALLBACK_ALREADY_SET_ RESULT(0x80370119)
#define PROCESS_INFO_NOT_AVAILABLE_ RESULT(0x8037011d)
#define PROCESS_ALREADY_STOPPED_ RESULT(0x8037011f)
#define NOT_CONFIGURED_ RESULT(0x80370120)

#define NUMBER(handle) ((uint64_t)(uintptr_t)(handle))
#define HANDLE_OF(type, number) ((type)(uintptr_t)(number))

/* Everything below is guarded by it, but for what the comments except. */
extern Lock service;
/* Something has changed that somebody may wait for. */
extern Signal changed;

typedef enum State { CREATING, CREATED, RUNNING, PAUSED, SAVED_AS_TEMPLATE, STOPPED } State;

struct System;
struct Operation;

/* An event on its way to a client. */
typedef struct Event {
  struct Event *next;
  uint32_t type;
  wchar_t *data;
  struct Operation *operation;
} Event;

/* What an HCS_SYSTEM or HCS_PROCESS stands for: one caller's hold on a system or process, with its callback. */
typedef struct Client {
  struct Client *next;
  uint64_t number;
  struct System *system;
  struct Process *process;
  int is_open;
  uint32_t options;
  void *context;
  HCS_EVENT_CALLBACK callback;
  Event *first;
  int is_delivering;
  uint64_t delivering_thread;
} Client;

typedef struct Process {
  struct Process *next;
  struct System *system;
  uint32_t id;
  wchar_t *command_line;
  int has_exited;
  int stdin_is_closed;
  uint32_t exit_code;
  int32_t last_wait_result;
  HANDLE caller_ends[3];
  HANDLE service_ends[3];
  Client *clients;
} Process;

/* A call that waits for its turn in a system. */
typedef struct Job {
  struct Job *next;
  struct Operation *operation;
  struct Client *client;
  struct System *system;
  const char *function;
  HRESULT (*work)(struct Job *job, Wide *document);
  wchar_t *text;
  /* Set by work that has ended the system: the exit event follows when the operation has completed. */
  int has_ended_system;
} Job;

typedef struct System {
  struct System *next;
  wchar_t *space;
  wchar_t *id;
  wchar_t *owner;
  Json *document;
  State state;
  int is_listed;
  int is_ending;
  int is_migrating;
  int allows_removal;
  wchar_t *exit_document;
  const char *exit_type;
  uint32_t open_handles;
  Client *clients;
  Process *processes;
  uint32_t next_process;
  Job *first_job;
  int is_busy;
} System;

typedef enum OperationState { IDLE, IN_FLIGHT, COMPLETED } OperationState;

typedef struct Operation {
  uint64_t number;
  uint64_t id;
  void *context;
  HCS_OPERATION_COMPLETION callback;
  HCS_EVENT_CALLBACK notify;
  /* Notifications that are being delivered. */
  uint32_t notifying;
  uint32_t notify_types;
  OperationState state;
  int is_open;
  int32_t type;
  const char *function;
  Client *client;
  HRESULT result;
  wchar_t *document;
  int has_process_info;
  int has_socket;
  HCS_PROCESS_INFORMATION info;
} Operation;

/* ── computecore-operations.c ── */

/* The arguments of an asynchronous call. `system` or `client` may be NULL: enumeration has neither. */
typedef struct AsyncCall {
  const char *function;
  int32_t type;
  HCS_OPERATION operation;
  Client *client;
  System *system;
  const wchar_t *text;
  HRESULT (*work)(Job *job, Wide *document);
  /* Does not wait for earlier calls on the system. */
  int overtakes;
} AsyncCall;

/* Starts a call. A failure means that it was not started; its document can be had from the operation. */
HRESULT start_call(const AsyncCall *call);
/* Fails a call before it starts, with a ResultError document. */
HRESULT refuse_call(const AsyncCall *call, HRESULT result, const char *message);
/* Queues an event for a client, if it has a callback. With the lock held. Takes `data` over by copying. */
void post_event(Client *client, uint32_t type, const wchar_t *data, Operation *operation);
/* The same for all clients of a system; returns how many have a callback. With the lock held. */
uint32_t post_to_system(System *system, uint32_t type, const wchar_t *data);
/* Closes a client's handle and waits for its callbacks. False on misuse. Without the lock. */
int close_client(const char *kind, uint64_t number, const char *function, Client **closed);
HRESULT set_callback(const char *function, Client *client, uint32_t options, const void *context,
                     HCS_EVENT_CALLBACK callback);
/* Hands a document to the caller. */
void give_document(PWSTR *out, const wchar_t *document);

/* ── computecore-documents.c ── */

/* A ResultError document. Returns the result, so that work can end with it. */
HRESULT write_error(Wide *out, HRESULT result, const char *message);
HRESULT write_device_error(Wide *out, HRESULT result, const wchar_t *instance);
wchar_t *exit_document(HRESULT status, const char *type, const char *detail, const char *initiator);
void write_basic_properties(Wide *out, System *system);
void write_process_status(Wide *out, const Process *process);
HRESULT write_properties(Wide *out, System *system, const wchar_t *query);
const char *system_type(const System *system);

/* ── computecore-systems.c ── */

extern System *systems;
/* With the lock held. */
System *find_system(const wchar_t *space, const wchar_t *id);
Client *add_client(System *system, Process *process);
/* Ends a system: devices off, processes gone, id free. Without the lock. The exit event follows by announce_exit. */
void end_system(System *system, HRESULT status, const char *type, const char *detail, const char *initiator);
/* Delivers the exit event later, on another thread. */
void announce_exit(System *system);

/* ── computecore-processes.c ── */

/* With the lock held. Nothing happens when it has exited already. */
void end_process(Process *process, uint32_t exit_code, int32_t last_wait_result);

/* ── Lookups that report misuse ── */

static inline Client *system_client(HCS_SYSTEM handle, const char *function) {
  return RecorderHandle("system", NUMBER(handle), function);
}
static inline Client *process_client(HCS_PROCESS handle, const char *function) {
  return RecorderHandle("process", NUMBER(handle), function);
}
static inline const wchar_t *subject_of(const Client *client) {
  return client == NULL ? NULL : client->system->id;
}

#endif
