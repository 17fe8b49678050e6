/* Operations: idle, in flight, completed, and again; and the events that clients get. */
#include "service.h"

#include <stdio.h>

Lock service = LOCK_INITIAL;
Signal changed = SIGNAL_INITIAL;

static uint64_t last_operation;
static Operation *last_closed;

static Operation *operation_of(HCS_OPERATION handle, const char *function) {
  return RecorderHandle("operation", NUMBER(handle), function);
}

void give_document(PWSTR *out, const wchar_t *document) {
  if (out != NULL) *out = RecorderDocument(document);
}

/* ── Events ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static void call_back(Client *client, HCS_EVENT_CALLBACK callback, void *context, Event *event) {
  HCS_EVENT told = {
    .Type = (HCS_EVENT_TYPE)event->type,
    .EventData = event->data,
    .Operation = event->operation == NULL ? NULL : HANDLE_OF(HCS_OPERATION, event->operation->number),
  };
  RecorderNote(subject_of(client), 0, "callback HCS_EVENT_CALLBACK(%h, %d, %s, %h)", client->number,
               (uint32_t)event->type, event->data, event->operation == NULL ? (uint64_t)0 : event->operation->number);
  callback(&told, context);
  /* Whoever kept the pointer reads this instead. */
  if (event->data != NULL) memset(event->data, 0xdd, wide_length(event->data) * sizeof(wchar_t));
}

/* Delivers what is queued, in order, one thread at a time for each client. */
static void deliver(void *argument) {
  Client *client = argument;
  lock(&service);
  client->delivering_thread = current_thread();
  while (client->is_open && client->callback != NULL && client->first != NULL) {
    Event *event = client->first;
    client->first = event->next;
    HCS_EVENT_CALLBACK callback = client->callback;
    void *context = client->context;
    unlock(&service);
    call_back(client, callback, context, event);
    lock(&service);
  }
  client->first = NULL;
  client->is_delivering = 0;
  client->delivering_thread = 0;
  signal_all(&changed);
  unlock(&service);
}

void post_event(Client *client, uint32_t type, const wchar_t *data, Operation *operation) {
  if (!client->is_open || client->callback == NULL) return;
  Event *event = calloc(1, sizeof *event);
  *event = (Event){ NULL, type, wide_copy(data), operation };
  Event **end = &client->first;
  while (*end != NULL) end = &(*end)->next;
  *end = event;
  if (client->is_delivering) return;
  client->is_delivering = 1;
  RecorderRun(deliver, client);
}

uint32_t post_to_system(System *system, uint32_t type, const wchar_t *data) {
  uint32_t count = 0;
  for (Client *client = system->clients; client != NULL; client = client->next) {
    if (!client->is_open || client->callback == NULL) continue;
    post_event(client, type, data, NULL);
    count++;
  }
  return count;
}

/* Callers that wait for a callback of this client to return. */
static uint32_t waiting_for_callbacks;

/* With the lock held: waits until no callback of this client runs. */
static void drain(Client *client, const char *function) {
  client->first = NULL;
  if (client->delivering_thread == current_thread()) {
    RecorderNote(subject_of(client), 0, "MISUSE %a: %h is closed inside its own callback, which would wait for itself",
                 function, client->number);
    return;
  }
  waiting_for_callbacks++;
  while (client->is_delivering) wait_signal(&changed, &service, UINT64_MAX);
  waiting_for_callbacks--;
}

STAND_IN_EXPORT uint32_t StandInWaitingForCallbacks(void) {
  lock(&service);
  uint32_t count = waiting_for_callbacks;
  unlock(&service);
  return count;
}

int close_client(const char *kind, uint64_t number, const char *function, Client **closed) {
  Client *client = RecorderCloseHandle(kind, number, function);
  if (client == NULL) return 0;
  lock(&service);
  client->is_open = 0;
  drain(client, function);
  unlock(&service);
  *closed = client;
  return 1;
}

HRESULT set_callback(const char *function, Client *client, uint32_t options, const void *context,
                     HCS_EVENT_CALLBACK callback) {
  HRESULT result = RESULT_OK;
  lock(&service);
  if (callback == NULL) {
    client->callback = NULL;
    drain(client, function);
  } else if (client->callback != NULL) result = CALLBACK_ALREADY_SET_;
  else {
    client->callback = callback;
    client->context = (void *)(uintptr_t)context;
    client->options = options;
  }
  unlock(&service);
  return result;
}

/* ── Calls ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Progress of an operation that was made with notifications. With the lock held. */
typedef struct Progress {
  Operation *operation;
  wchar_t *data;
} Progress;

static void tell_progress(void *argument) {
  Progress *progress = argument;
  Operation *operation = progress->operation;
  HCS_EVENT told = {
    .Type = (HCS_EVENT_TYPE)(int32_t)0xc0000001,
    .EventData = progress->data,
    .Operation = HANDLE_OF(HCS_OPERATION, operation->number),
  };
  lock(&service);
  int is_open = operation->is_open;
  operation->notifying += (uint32_t)is_open;
  unlock(&service);
  if (!is_open) return;
  RecorderNote(NULL, operation->number, "callback HCS_EVENT_CALLBACK(null, 0xc0000001, %s, %h)", progress->data,
               operation->number);
  operation->notify(&told, operation->context);
  lock(&service);
  operation->notifying--;
  signal_all(&changed);
  unlock(&service);
}

static void report_progress(Operation *operation, int has_ended) {
  if (operation->notify == NULL || (operation->notify_types & 1) == 0) return;
  Wide data = { 0 };
  wide_ascii(&data, "{\"Operation\":\"");
  wide_ascii(&data, operation->function + 3);
  wide_ascii(&data, has_ended ? "\",\"Ended\":true}" : "\",\"Ended\":false}");
  Progress *progress = malloc(sizeof *progress);
  *progress = (Progress){ operation, data.data };
  RecorderRun(tell_progress, progress);
}

static void complete(Job *job, HRESULT result, wchar_t *document) {
  Operation *operation = job->operation;
  lock(&service);
  operation->result = result;
  operation->document = document;
  operation->state = COMPLETED;
  report_progress(operation, 1);
  int is_open = operation->is_open;
  HCS_OPERATION_COMPLETION callback = operation->callback;
  void *context = operation->context;
  Client *client = job->client;
  if (is_open && callback == NULL && client != NULL && client->callback != NULL && (client->options & 1) != 0) {
    post_event(client, 0x01000000, NULL, operation);
  }
  signal_all(&changed);
  unlock(&service);
  if (!is_open || callback == NULL) return;
  RecorderNote(job->system == NULL ? NULL : job->system->id, operation->number,
               "callback HCS_OPERATION_COMPLETION(%h)", operation->number);
  callback(HANDLE_OF(HCS_OPERATION, operation->number), context);
}

static void run_job(Job *job) {
  const wchar_t *subject = job->system == NULL ? NULL : job->system->id;
  uint32_t failure;
  wchar_t *document = NULL;
  RecorderGate(job->function, subject, STAND_IN_AT_OPERATION);
  if (RecorderFails(job->function, subject, STAND_IN_AT_OPERATION, &failure, &document)) {
    if (strcmp(job->function, "HcsTerminateComputeSystem") == 0) job->system->is_ending = 0;
    complete(job, (HRESULT)failure, document);
    return;
  }
  Wide out = { 0 };
  HRESULT result = job->work(job, &out);
  complete(job, result, out.data);
  if (job->has_ended_system) announce_exit(job->system);
}

/* Runs the calls of one system one after the other. */
static void run_system(void *argument) {
  System *system = argument;
  lock(&service);
  while (system->first_job != NULL) {
    Job *job = system->first_job;
    system->first_job = job->next;
    unlock(&service);
    run_job(job);
    lock(&service);
  }
  system->is_busy = 0;
  unlock(&service);
}

static void run_alone(void *job) { run_job(job); }

/* With the lock held: the operation tracks this call from now on. */
static void begin(Operation *operation, const AsyncCall *call) {
  operation->type = call->type;
  operation->function = call->function;
  operation->client = call->client;
  operation->result = RESULT_OK;
  operation->document = NULL;
  operation->has_process_info = 0;
}

/* What is wrong with the operation, if anything. With the lock held. */
static HRESULT check_operation(Operation *operation, const AsyncCall *call) {
  if (operation->state == IN_FLIGHT) {
    RecorderNote(call->system == NULL ? NULL : call->system->id, operation->number,
                 "MISUSE %a: %h is in flight for %a", call->function, operation->number, operation->function);
    return OPERATION_ALREADY_STARTED_;
  }
  int has_events = call->client != NULL && call->client->callback != NULL && (call->client->options & 1) != 0;
  return operation->callback != NULL && has_events ? CALLBACK_ALREADY_SET_ : RESULT_OK;
}

static HRESULT refuse(const AsyncCall *call, HRESULT result, wchar_t *document) {
  Operation *operation = operation_of(call->operation, call->function);
  if (operation == NULL) return INVALID_HANDLE_;
  lock(&service);
  HRESULT wrong = check_operation(operation, call);
  if (wrong == RESULT_OK) {
    begin(operation, call);
    operation->state = COMPLETED;
    operation->result = result;
    operation->document = document;
  }
  unlock(&service);
  return wrong == RESULT_OK ? result : wrong;
}

HRESULT refuse_call(const AsyncCall *call, HRESULT result, const char *message) {
  Wide document = { 0 };
  write_error(&document, result, message);
  return refuse(call, result, document.data);
}

HRESULT start_call(const AsyncCall *call) {
  const wchar_t *subject = call->system == NULL ? NULL : call->system->id;
  Operation *operation = operation_of(call->operation, call->function);
  if (operation == NULL) return INVALID_HANDLE_;
  if (subject != NULL) RecorderBindHandle(operation->number, subject);
  uint32_t failure;
  wchar_t *document = NULL;
  RecorderGate(call->function, subject, STAND_IN_AT_CALL);
  if (RecorderFails(call->function, subject, STAND_IN_AT_CALL, &failure, &document)) {
    return refuse(call, (HRESULT)failure, document);
  }
  Job *job = calloc(1, sizeof *job);
  *job = (Job){ NULL, operation, call->client, call->system, call->function, call->work, wide_copy(call->text), 0 };
  lock(&service);
  HRESULT wrong = check_operation(operation, call);
  if (wrong == RESULT_OK) {
    begin(operation, call);
    operation->state = IN_FLIGHT;
    report_progress(operation, 0);
    if (call->system == NULL || call->overtakes) RecorderRun(run_alone, job);
    else {
      Job **end = &call->system->first_job;
      while (*end != NULL) end = &(*end)->next;
      *end = job;
      if (!call->system->is_busy) {
        call->system->is_busy = 1;
        RecorderRun(run_system, call->system);
      }
    }
  }
  unlock(&service);
  if (wrong == RESULT_OK) RecorderGate(call->function, subject, STAND_IN_AT_RETURN);
  return wrong;
}

/* ── The functions ────────────────────────────────────────────────────────────────────────────────────────────── */

static Operation *add_operation(const void *context, HCS_OPERATION_COMPLETION callback) {
  Operation *operation = calloc(1, sizeof *operation);
  operation->context = (void *)(uintptr_t)context;
  operation->callback = callback;
  operation->is_open = 1;
  operation->type = -1;
  operation->number = RecorderOpenHandle("operation", NULL, operation);
  lock(&service);
  operation->id = ++last_operation;
  unlock(&service);
  return operation;
}

STAND_IN_EXPORT HCS_OPERATION WINAPI HcsCreateOperation(const void *context, HCS_OPERATION_COMPLETION callback) {
  Operation *operation = add_operation(context, callback);
  uint64_t line = RecorderBegin(NULL, operation->number, "HcsCreateOperation(%p, %p)", context,
                                (const void *)(uintptr_t)callback);
  RecorderEndPlain(line, "%h", operation->number);
  return HANDLE_OF(HCS_OPERATION, operation->number);
}

STAND_IN_EXPORT HCS_OPERATION WINAPI HcsCreateOperationWithNotifications(HCS_OPERATION_OPTIONS eventTypes,
                                                                         const void *context,
                                                                         HCS_EVENT_CALLBACK callback) {
  if (callback == NULL) {
    RecorderNote(NULL, 0, "HcsCreateOperationWithNotifications(%d, %p, null) = null", (uint32_t)eventTypes, context);
    return NULL;
  }
  Operation *operation = add_operation(context, NULL);
  operation->notify = callback;
  operation->notify_types = (uint32_t)eventTypes;
  RecorderNote(NULL, operation->number, "HcsCreateOperationWithNotifications(%d, %p, given) = %h",
               (uint32_t)eventTypes, context, operation->number);
  return HANDLE_OF(HCS_OPERATION, operation->number);
}

STAND_IN_EXPORT void WINAPI HcsCloseOperation(HCS_OPERATION handle) {
  RecorderNote(NULL, NUMBER(handle), "HcsCloseOperation(%h)", NUMBER(handle));
  Operation *operation = RecorderCloseHandle("operation", NUMBER(handle), "HcsCloseOperation");
  if (operation == NULL) return;
  lock(&service);
  operation->is_open = 0;
  last_closed = operation;
  signal_all(&changed);
  /* What Windows does is not known: this is the worse of what it may do, and what it does for systems. */
  waiting_for_callbacks++;
  while (operation->notifying > 0) wait_signal(&changed, &service, UINT64_MAX);
  waiting_for_callbacks--;
  unlock(&service);
}

STAND_IN_EXPORT void *WINAPI HcsGetOperationContext(HCS_OPERATION handle) {
  Operation *operation = operation_of(handle, "HcsGetOperationContext");
  void *context = operation == NULL ? NULL : operation->context;
  RecorderNote(NULL, NUMBER(handle), "HcsGetOperationContext(%h) = %p", NUMBER(handle), context);
  return context;
}

STAND_IN_EXPORT HRESULT WINAPI HcsSetOperationContext(HCS_OPERATION handle, const void *context) {
  uint64_t line = RecorderBegin(NULL, NUMBER(handle), "HcsSetOperationContext(%h, %p)", NUMBER(handle), context);
  Operation *operation = operation_of(handle, "HcsSetOperationContext");
  HRESULT result = operation == NULL ? INVALID_HANDLE_ : RESULT_OK;
  if (operation != NULL) {
    lock(&service);
    operation->context = (void *)(uintptr_t)context;
    unlock(&service);
  }
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsSetOperationCallback(HCS_OPERATION handle, const void *context,
                                                       HCS_OPERATION_COMPLETION callback) {
  uint64_t line = RecorderBegin(NULL, NUMBER(handle), "HcsSetOperationCallback(%h, %p, %p)", NUMBER(handle), context,
                                (const void *)(uintptr_t)callback);
  Operation *operation = operation_of(handle, "HcsSetOperationCallback");
  HRESULT result = operation == NULL ? INVALID_HANDLE_ : RESULT_OK;
  if (operation != NULL) {
    lock(&service);
    if (operation->state == IN_FLIGHT) result = OPERATION_ALREADY_STARTED_;
    else {
      operation->context = (void *)(uintptr_t)context;
      operation->callback = callback;
    }
    unlock(&service);
  }
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

/* The open client that the operation was used on, of the kind asked for; 0 when there is none. */
static uint64_t client_of(HCS_OPERATION handle, const char *function, int is_process) {
  Operation *operation = operation_of(handle, function);
  uint64_t number = 0;
  if (operation == NULL) return 0;
  lock(&service);
  Client *client = operation->state == IDLE ? NULL : operation->client;
  if (client != NULL && client->is_open && (client->process != NULL) == is_process) number = client->number;
  unlock(&service);
  return number;
}

STAND_IN_EXPORT HCS_SYSTEM WINAPI HcsGetComputeSystemFromOperation(HCS_OPERATION handle) {
  uint64_t number = client_of(handle, "HcsGetComputeSystemFromOperation", 0);
  RecorderNote(NULL, NUMBER(handle), "HcsGetComputeSystemFromOperation(%h) = %h", NUMBER(handle), number);
  return HANDLE_OF(HCS_SYSTEM, number);
}

STAND_IN_EXPORT HCS_PROCESS WINAPI HcsGetProcessFromOperation(HCS_OPERATION handle) {
  uint64_t number = client_of(handle, "HcsGetProcessFromOperation", 1);
  RecorderNote(NULL, NUMBER(handle), "HcsGetProcessFromOperation(%h) = %h", NUMBER(handle), number);
  return HANDLE_OF(HCS_PROCESS, number);
}

STAND_IN_EXPORT HCS_OPERATION_TYPE WINAPI HcsGetOperationType(HCS_OPERATION handle) {
  Operation *operation = operation_of(handle, "HcsGetOperationType");
  int32_t type = operation == NULL ? -1 : operation->type;
  RecorderNote(NULL, NUMBER(handle), "HcsGetOperationType(%h) = %d", NUMBER(handle), (uint32_t)type);
  return (HCS_OPERATION_TYPE)type;
}

STAND_IN_EXPORT UINT64 WINAPI HcsGetOperationId(HCS_OPERATION handle) {
  Operation *operation = RecorderAnyHandle("operation", NUMBER(handle));
  int is_open = operation != NULL && operation->is_open;
  RecorderNote(NULL, NUMBER(handle), "HcsGetOperationId(%h) = %a", NUMBER(handle), is_open ? "valid" : "invalid");
  return is_open ? operation->id : UINT64_MAX;
}

/* Reads the result, waiting up to `until`. `info` is NULL for the functions that do not ask for it. */
static HRESULT read_result(const char *function, HCS_OPERATION handle, uint64_t until, int waits, int wants_info,
                           HCS_PROCESS_INFORMATION *info, PWSTR *document) {
  if (document != NULL) *document = NULL;
  Operation *operation = operation_of(handle, function);
  if (operation == NULL) return INVALID_HANDLE_;
  uint32_t failure;
  wchar_t *failure_document = NULL;
  const wchar_t *subject = RecorderHandleSubject(operation->number);
  RecorderGate(function, subject, STAND_IN_AT_CALL);
  if (RecorderFails(function, subject, STAND_IN_AT_CALL, &failure, &failure_document)) {
    give_document(document, failure_document);
    return (HRESULT)failure;
  }
  lock(&service);
  while (waits && operation->is_open && operation->state == IN_FLIGHT) {
    if (!wait_signal(&changed, &service, until)) break;
  }
  HRESULT result = operation->result;
  wchar_t *copy = NULL;
  if (!operation->is_open) {
    RecorderNote(subject, operation->number, "MISUSE %a: %h was closed meanwhile", function, operation->number);
    result = INVALID_HANDLE_;
  } else if (operation->state == IDLE) result = OPERATION_NOT_STARTED_;
  else if (operation->state == IN_FLIGHT) result = waits ? OPERATION_TIMEOUT_ : OPERATION_PENDING_;
  else if (wants_info && operation->type != 10 && operation->type != 12) result = INVALID_ARGUMENT_;
  else {
    copy = wide_copy(operation->document);
    if (wants_info && info != NULL && result == RESULT_OK) *info = operation->info;
  }
  unlock(&service);
  give_document(document, copy);
  free(copy);
  return result;
}

static uint64_t time_limit(DWORD timeoutMs) { return timeoutMs == 0xffffffffu ? UINT64_MAX : now_ms() + timeoutMs; }

#define END_WITH_DOCUMENT(line, result, document)                                       \
  do {                                                                                  \
    if ((document) == NULL) RecorderEnd(line, (uint32_t)(result), NULL);                \
    else RecorderEnd(line, (uint32_t)(result), "%s", (const wchar_t *)*(document));     \
  } while (0)

STAND_IN_EXPORT HRESULT WINAPI HcsGetOperationResult(HCS_OPERATION handle, PWSTR *resultDocument) {
  uint64_t line = RecorderBegin(NULL, NUMBER(handle), "HcsGetOperationResult(%h)", NUMBER(handle));
  HRESULT result = read_result("HcsGetOperationResult", handle, 0, 0, 0, NULL, resultDocument);
  END_WITH_DOCUMENT(line, result, resultDocument);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsGetOperationResultAndProcessInfo(HCS_OPERATION handle,
                                                                   HCS_PROCESS_INFORMATION *processInformation,
                                                                   PWSTR *resultDocument) {
  uint64_t line = RecorderBegin(NULL, NUMBER(handle), "HcsGetOperationResultAndProcessInfo(%h)", NUMBER(handle));
  HRESULT result = read_result("HcsGetOperationResultAndProcessInfo", handle, 0, 0, 1, processInformation,
                               resultDocument);
  END_WITH_DOCUMENT(line, result, resultDocument);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsWaitForOperationResult(HCS_OPERATION handle, DWORD timeoutMs, PWSTR *resultDocument) {
  uint64_t line = RecorderBegin(NULL, NUMBER(handle), "HcsWaitForOperationResult(%h, %d)", NUMBER(handle),
                                (uint32_t)timeoutMs);
  HRESULT result = read_result("HcsWaitForOperationResult", handle, time_limit(timeoutMs), 1, 0, NULL, resultDocument);
  END_WITH_DOCUMENT(line, result, resultDocument);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsWaitForOperationResultAndProcessInfo(HCS_OPERATION handle, DWORD timeoutMs,
                                                                       HCS_PROCESS_INFORMATION *processInformation,
                                                                       PWSTR *resultDocument) {
  uint64_t line = RecorderBegin(NULL, NUMBER(handle), "HcsWaitForOperationResultAndProcessInfo(%h, %d)",
                                NUMBER(handle), (uint32_t)timeoutMs);
  HRESULT result = read_result("HcsWaitForOperationResultAndProcessInfo", handle, time_limit(timeoutMs), 1, 1,
                               processInformation, resultDocument);
  END_WITH_DOCUMENT(line, result, resultDocument);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsCancelOperation(HCS_OPERATION handle) {
  HRESULT result = operation_of(handle, "HcsCancelOperation") == NULL ? INVALID_HANDLE_ : E_NOTIMPL_;
  RecorderNote(NULL, NUMBER(handle), "HcsCancelOperation(%h) = %d", NUMBER(handle), (uint32_t)result);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsGetOperationProperties(HCS_OPERATION handle, PCWSTR options, PWSTR *resultDocument) {
  uint64_t line = RecorderBegin(NULL, NUMBER(handle), "HcsGetOperationProperties(%h, %s)", NUMBER(handle), options);
  if (resultDocument != NULL) *resultDocument = NULL;
  Operation *operation = operation_of(handle, "HcsGetOperationProperties");
  HRESULT result = operation == NULL ? INVALID_HANDLE_ : operation->state == IDLE ? OPERATION_NOT_STARTED_ : RESULT_OK;
  if (resultDocument == NULL) result = INVALID_ARGUMENT_;
  if (result == RESULT_OK) {
    Wide document = { 0 };
    wide_ascii(&document, operation->state == IN_FLIGHT
                              ? "{\"Operation\":\"None\",\"StartTimestamp\":\"2024-01-01T00:00:00Z\"}"
                              : "{\"Operation\":\"None\",\"StartTimestamp\":\"2024-01-01T00:00:00Z\","
                                "\"EndTimestamp\":\"2024-01-01T00:00:01Z\"}");
    give_document(resultDocument, document.data);
    free(document.data);
  }
  END_WITH_DOCUMENT(line, result, resultDocument);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsAddResourceToOperation(HCS_OPERATION handle, HCS_RESOURCE_TYPE type, PCWSTR uri,
                                                         HANDLE resource) {
  uint64_t line = RecorderBegin(NULL, NUMBER(handle), "HcsAddResourceToOperation(%h, %d, %s, %x)", NUMBER(handle),
                                (uint32_t)type, uri, NUMBER(resource));
  Operation *operation = operation_of(handle, "HcsAddResourceToOperation");
  HRESULT result = operation == NULL ? INVALID_HANDLE_ : RESULT_OK;
  if (operation != NULL) {
    lock(&service);
    if (operation->state == IN_FLIGHT) result = OPERATION_ALREADY_STARTED_;
    else if (uri == NULL || type == 0) result = INVALID_ARGUMENT_;
    else if (type == 4) operation->has_socket = 1;
    unlock(&service);
  }
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

/* Hostile: the completion callback of the operation closed last on this system, once more. 0 when there is none. */
static void complete_late(void *argument) {
  Operation *operation = argument;
  operation->callback(HANDLE_OF(HCS_OPERATION, operation->number), operation->context);
}

STAND_IN_EXPORT uint32_t StandInCompleteAfterClose(PCWSTR id) {
  Operation *operation = last_closed;
  if (operation == NULL || operation->callback == NULL) return 0;
  const wchar_t *subject = RecorderHandleSubject(operation->number);
  if (subject == NULL || id == NULL || !wide_equal(subject, id)) return 0;
  RecorderNote(subject, 0, "late HCS_OPERATION_COMPLETION(%h)", operation->number);
  RecorderRun(complete_late, operation);
  return 1;
}
