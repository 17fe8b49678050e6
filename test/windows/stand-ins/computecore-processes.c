/* Processes in a compute system. A process whose command line begins with "cat" echoes its input until that ends. */
#include "service.h"

#ifndef _WIN32
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#endif

/* ── Pipes ────────────────────────────────────────────────────────────────────────────────────────────────────── */

#ifdef _WIN32

static int make_pipe(HANDLE *reading, HANDLE *writing) { return CreatePipe(reading, writing, NULL, 0) != 0; }
static void close_pipe(HANDLE end) { CloseHandle(end); }

/* Bytes read; 0 when nothing came for a moment; -1 at the end. */
static int read_pipe(HANDLE end, char *bytes, uint32_t count) {
  DWORD available = 0, got = 0;
  if (!PeekNamedPipe(end, NULL, 0, NULL, &available, NULL)) return -1;
  if (available == 0) {
    Sleep(5);
    return 0;
  }
  if (!ReadFile(end, bytes, available < count ? available : count, &got, NULL)) return -1;
  return (int)got;
}

static void write_pipe(HANDLE end, const char *bytes, int count) {
  DWORD written;
  WriteFile(end, bytes, (DWORD)count, &written, NULL);
}

static HANDLE copy_of(HANDLE end) {
  HANDLE copy = NULL;
  if (end == NULL) return NULL;
  HANDLE self = GetCurrentProcess();
  DuplicateHandle(self, end, self, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS);
  return copy;
}

#else

#define FD(handle) ((int)(intptr_t)(handle))

static int make_pipe(HANDLE *reading, HANDLE *writing) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return 0;
  *reading = (HANDLE)(intptr_t)ends[0];
  *writing = (HANDLE)(intptr_t)ends[1];
  return 1;
}
static void close_pipe(HANDLE end) { close(FD(end)); }

static int read_pipe(HANDLE end, char *bytes, uint32_t count) {
  struct pollfd ready = { .fd = FD(end), .events = POLLIN };
  if (poll(&ready, 1, 5) <= 0) return 0;
  ssize_t got = read(FD(end), bytes, count);
  return got <= 0 ? -1 : (int)got;
}

static void write_pipe(HANDLE end, const char *bytes, int count) {
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
  ssize_t written = write(FD(end), bytes, (size_t)count);
  (void)written;
}

static HANDLE copy_of(HANDLE end) {
  return end == NULL ? NULL : (HANDLE)(intptr_t)fcntl(FD(end), F_DUPFD_CLOEXEC, 3);
}

#endif

/* ── Life ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

void end_process(Process *process, uint32_t exit_code, int32_t last_wait_result) {
  if (process->has_exited) return;
  process->has_exited = 1;
  process->exit_code = exit_code;
  process->last_wait_result = last_wait_result;
  Wide status = { 0 };
  write_process_status(&status, process);
  for (Client *client = process->clients; client != NULL; client = client->next) {
    post_event(client, 0x00010000, status.data, NULL);
  }
  free(status.data);
  signal_all(&changed);
}

/* The guest's side of a process: one thread as long as it lives. */
static void live(void *argument) {
  Process *process = argument;
  int echoes = wide_length(process->command_line) >= 3 && process->command_line[0] == 'c' &&
               process->command_line[1] == 'a' && process->command_line[2] == 't';
  HANDLE input = process->service_ends[0];
  for (;;) {
    char bytes[4096];
    lock(&service);
    int has_exited = process->has_exited;
    int is_closed = process->stdin_is_closed;
    if (!has_exited && (!echoes || input == NULL)) wait_signal(&changed, &service, UINT64_MAX);
    unlock(&service);
    if (has_exited) break;
    if (!echoes || input == NULL) continue;
    int count = read_pipe(input, bytes, sizeof bytes);
    if (count > 0 && process->service_ends[1] != NULL) write_pipe(process->service_ends[1], bytes, count);
    if (count < 0 || (count == 0 && is_closed)) {
      lock(&service);
      end_process(process, 0, 0);
      unlock(&service);
    }
  }
  lock(&service);
  for (int i = 0; i < 3; i++) {
    if (process->service_ends[i] != NULL) close_pipe(process->service_ends[i]);
    if (process->caller_ends[i] != NULL) close_pipe(process->caller_ends[i]);
    process->service_ends[i] = process->caller_ends[i] = NULL;
  }
  unlock(&service);
}

/*
 * Copies of the caller's ends, for the caller to close. As one is kept, only a CloseHandle request ends the input.
 * With the lock held.
 */
static HCS_PROCESS_INFORMATION information(Process *process) {
  return (HCS_PROCESS_INFORMATION){
    .ProcessId = process->id,
    .StdInput = copy_of(process->caller_ends[0]),
    .StdOutput = copy_of(process->caller_ends[1]),
    .StdError = copy_of(process->caller_ends[2]),
  };
}

static HRESULT do_create(Job *job, Wide *document) {
  System *system = job->system;
  Process *process = job->client->process;
  lock(&service);
  int is_vm = json_member(system->document, "VirtualMachine") != NULL;
  HRESULT result = RESULT_OK;
  if (system->state == STOPPED) result = SYSTEM_ALREADY_STOPPED_;
  else if (system->state != RUNNING) result = INVALID_STATE_;
  else if (is_vm && json_path(system->document, "VirtualMachine.GuestConnection") == NULL) result = INVALID_STATE_;
  if (result == RESULT_OK) {
    Json *parameters = json_read(job->text, NULL);
    static const char *const pipes[] = { "CreateStdInPipe", "CreateStdOutPipe", "CreateStdErrPipe" };
    process->command_line = wide_copy(json_text(parameters, "CommandLine"));
    if (process->command_line == NULL) result = INVALID_ARGUMENT_;
    for (int i = 0; i < 3 && result == RESULT_OK; i++) {
      if (!json_is_true(json_member(parameters, pipes[i]))) continue;
      HANDLE *reading = i == 0 ? &process->service_ends[0] : &process->caller_ends[i];
      HANDLE *writing = i == 0 ? &process->caller_ends[0] : &process->service_ends[i];
      if (!make_pipe(reading, writing)) result = E_UNEXPECTED_;
    }
    json_free(parameters);
  }
  if (result == RESULT_OK) {
    Process **end = &system->processes;
    while (*end != NULL) end = &(*end)->next;
    *end = process;
    job->operation->info = information(process);
    RecorderRun(live, process);
  } else {
    process->has_exited = 1;
    write_error(document, result, "The process cannot be created.");
  }
  unlock(&service);
  return result;
}

static HRESULT ended(Process *process, Wide *document) {
  if (!process->has_exited) return RESULT_OK;
  return write_error(document, PROCESS_ALREADY_STOPPED_, "The process has exited.");
}

static HRESULT do_terminate(Job *job, Wide *document) {
  lock(&service);
  HRESULT result = ended(job->client->process, document);
  if (result == RESULT_OK) end_process(job->client->process, 0xffffffff, 0);
  unlock(&service);
  return result;
}

static HRESULT do_signal(Job *job, Wide *document) {
  Json *options = job->text == NULL || *job->text == 0 ? NULL : json_read(job->text, NULL);
  const Json *signal = json_member(options, "Signal");
  uint32_t code = 143;
  if (signal != NULL && signal->kind == JSON_NUMBER) code = 128 + (uint32_t)signal->number;
  else if (signal != NULL) code = 0xc000013a;
  json_free(options);
  lock(&service);
  HRESULT result = ended(job->client->process, document);
  if (result == RESULT_OK) end_process(job->client->process, code, 0);
  unlock(&service);
  return result;
}

static HRESULT do_info(Job *job, Wide *document) {
  Process *process = job->client->process;
  lock(&service);
  HRESULT result = RESULT_OK;
  if (process->has_exited) {
    result = write_error(document, PROCESS_INFO_NOT_AVAILABLE_, "The process has exited.");
  } else job->operation->info = information(process);
  unlock(&service);
  return result;
}

static HRESULT do_properties(Job *job, Wide *document) {
  lock(&service);
  HRESULT result = ended(job->client->process, document);
  if (result == RESULT_OK) write_process_status(document, job->client->process);
  unlock(&service);
  return result;
}

static HRESULT do_modify(Job *job, Wide *document) {
  Json *request = json_read(job->text, NULL);
  const Json *operation = json_member(request, "Operation");
  lock(&service);
  HRESULT result = ended(job->client->process, document);
  if (result != RESULT_OK) {
  } else if (json_is(operation, "CloseHandle")) {
    if (json_is(json_path(request, "CloseHandle.Handle"), "StdIn")) job->client->process->stdin_is_closed = 1;
  } else if (!json_is(operation, "ConsoleSize")) {
    result = write_error(document, INVALID_ARGUMENT_, "Operation must be ConsoleSize or CloseHandle.");
  }
  unlock(&service);
  json_free(request);
  return result;
}

/* ── The functions ────────────────────────────────────────────────────────────────────────────────────────────── */

STAND_IN_EXPORT HRESULT WINAPI HcsCreateProcess(HCS_SYSTEM computeSystem, PCWSTR processParameters,
                                                HCS_OPERATION operation,
                                                const SECURITY_DESCRIPTOR *securityDescriptor, HCS_PROCESS *process) {
  const char *name = "HcsCreateProcess";
  uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(computeSystem)), NUMBER(operation),
                                "HcsCreateProcess(%h, %s, %h, %p)", NUMBER(computeSystem), processParameters,
                                NUMBER(operation), (const void *)securityDescriptor);
  AsyncCall call = { name, 10, operation, NULL, NULL, processParameters, do_create, 0 };
  HRESULT result = INVALID_HANDLE_;
  if (process != NULL) *process = NULL;
  Client *client = system_client(computeSystem, name);
  Json *parameters = processParameters == NULL ? NULL : json_read(processParameters, NULL);
  int is_object = parameters != NULL && parameters->kind == JSON_OBJECT;
  json_free(parameters);
  if (client != NULL && process == NULL) result = refuse_call(&call, INVALID_ARGUMENT_, "An argument is missing.");
  else if (client != NULL && !is_object) {
    result = refuse_call(&call, INVALID_JSON_, "The parameters are no JSON object.");
  } else if (client != NULL) {
    Process *made = calloc(1, sizeof *made);
    lock(&service);
    made->system = client->system;
    made->id = client->system->next_process++;
    call.client = add_client(client->system, made);
    unlock(&service);
    call.system = client->system;
    result = start_call(&call);
    if (result == RESULT_OK) *process = HANDLE_OF(HCS_PROCESS, call.client->number);
    else RecorderCloseHandle("process", call.client->number, name);
  }
  RecorderEnd(line, (uint32_t)result, "%h", process == NULL ? (uint64_t)0 : NUMBER(*process));
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsOpenProcess(HCS_SYSTEM computeSystem, DWORD processId, DWORD requestedAccess,
                                              HCS_PROCESS *process) {
  const char *name = "HcsOpenProcess";
  uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(computeSystem)), 0, "HcsOpenProcess(%h, %d, %d)",
                                NUMBER(computeSystem), (uint32_t)processId, (uint32_t)requestedAccess);
  HRESULT result = INVALID_HANDLE_;
  uint32_t failure;
  if (process != NULL) *process = NULL;
  Client *client = system_client(computeSystem, name);
  if (client != NULL) RecorderGate(name, subject_of(client), STAND_IN_AT_CALL);
  if (client != NULL && RecorderFails(name, subject_of(client), STAND_IN_AT_CALL, &failure, NULL)) {
    result = (HRESULT)failure;
  } else if (client != NULL && (process == NULL || requestedAccess != 0x10000000u)) result = INVALID_ARGUMENT_;
  else if (client != NULL) {
    lock(&service);
    Process *found = client->system->processes;
    while (found != NULL && found->id != processId) found = found->next;
    if (found == NULL) result = NOT_FOUND_;
    else if (found->has_exited) result = PROCESS_ALREADY_STOPPED_;
    else {
      *process = HANDLE_OF(HCS_PROCESS, add_client(client->system, found)->number);
      result = RESULT_OK;
    }
    unlock(&service);
  }
  RecorderEnd(line, (uint32_t)result, "%h", process == NULL ? (uint64_t)0 : NUMBER(*process));
  return result;
}

STAND_IN_EXPORT void WINAPI HcsCloseProcess(HCS_PROCESS process) {
  Client *client;
  RecorderNote(RecorderHandleSubject(NUMBER(process)), 0, "HcsCloseProcess(%h)", NUMBER(process));
  close_client("process", NUMBER(process), "HcsCloseProcess", &client);
}

/* A call on a process with at most one string besides the operation. */
static HRESULT call_process(AsyncCall call, HCS_PROCESS handle, uint64_t line) {
  call.client = process_client(handle, call.function);
  HRESULT result = INVALID_HANDLE_;
  if (call.client != NULL) {
    call.system = call.client->system;
    result = start_call(&call);
  }
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

#define PROCESS_CALL(name, type, work)                                                                        \
  STAND_IN_EXPORT HRESULT WINAPI name(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR options) {         \
    AsyncCall call = { #name, type, operation, NULL, NULL, options, work, 0 };                                \
    uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(process)), NUMBER(operation),                  \
                                  #name "(%h, %h, %s)", NUMBER(process), NUMBER(operation), options);         \
    return call_process(call, process, line);                                                                 \
  }

PROCESS_CALL(HcsTerminateProcess, 11, do_terminate)
PROCESS_CALL(HcsSignalProcess, 11, do_signal)
PROCESS_CALL(HcsGetProcessProperties, 13, do_properties)

STAND_IN_EXPORT HRESULT WINAPI HcsGetProcessInfo(HCS_PROCESS process, HCS_OPERATION operation) {
  AsyncCall call = { "HcsGetProcessInfo", 12, operation, NULL, NULL, NULL, do_info, 0 };
  uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(process)), NUMBER(operation), "HcsGetProcessInfo(%h, %h)",
                                NUMBER(process), NUMBER(operation));
  return call_process(call, process, line);
}

STAND_IN_EXPORT HRESULT WINAPI HcsModifyProcess(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR settings) {
  AsyncCall call = { "HcsModifyProcess", 14, operation, NULL, NULL, settings, do_modify, 0 };
  uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(process)), NUMBER(operation),
                                "HcsModifyProcess(%h, %h, %s)", NUMBER(process), NUMBER(operation), settings);
  Json *request = settings == NULL ? NULL : json_read(settings, NULL);
  int is_object = request != NULL && request->kind == JSON_OBJECT;
  json_free(request);
  if (is_object) return call_process(call, process, line);
  HRESULT result = process_client(process, call.function) == NULL
                       ? INVALID_HANDLE_
                       : refuse_call(&call, INVALID_JSON_, "The request is no JSON object.");
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsSetProcessCallback(HCS_PROCESS process, HCS_EVENT_OPTIONS callbackOptions,
                                                     void *context, HCS_EVENT_CALLBACK callback) {
  const char *name = "HcsSetProcessCallback";
  uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(process)), 0, "HcsSetProcessCallback(%h, %d, %p, %p)",
                                NUMBER(process), (uint32_t)callbackOptions, context,
                                (const void *)(uintptr_t)callback);
  Client *client = process_client(process, name);
  HRESULT result = client == NULL ? INVALID_HANDLE_
                                  : set_callback(name, client, (uint32_t)callbackOptions, context, callback);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsWaitForProcessExit(HCS_PROCESS handle, DWORD timeoutMs, PWSTR *result) {
  uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(handle)), 0, "HcsWaitForProcessExit(%h, %d)",
                                NUMBER(handle), (uint32_t)timeoutMs);
  uint64_t until = timeoutMs == 0xffffffffu ? UINT64_MAX : now_ms() + timeoutMs;
  HRESULT status = INVALID_HANDLE_;
  Wide document = { 0 };
  uint32_t failure;
  if (result != NULL) *result = NULL;
  Client *client = process_client(handle, "HcsWaitForProcessExit");
  if (client != NULL) RecorderGate("HcsWaitForProcessExit", subject_of(client), STAND_IN_AT_CALL);
  if (client != NULL &&
      RecorderFails("HcsWaitForProcessExit", subject_of(client), STAND_IN_AT_CALL, &failure, NULL)) {
    status = (HRESULT)failure;
  } else if (client != NULL) {
    lock(&service);
    Process *process = client->process;
    while (client->is_open && !process->has_exited) {
      if (!wait_signal(&changed, &service, until)) break;
    }
    status = process->has_exited ? RESULT_OK : client->is_open ? OPERATION_TIMEOUT_ : INVALID_HANDLE_;
    if (status == RESULT_OK) write_process_status(&document, process);
    unlock(&service);
    give_document(result, document.data);
  }
  RecorderEnd(line, (uint32_t)status, "%s", (const wchar_t *)document.data);
  free(document.data);
  return status;
}

/* A process of the guest exits by itself. 0 when there is none. */
STAND_IN_EXPORT uint32_t StandInExitProcess(PCWSTR id, uint32_t processId, uint32_t exitCode) {
  uint32_t found = 0;
  lock(&service);
  System *system = find_system(NULL, id);
  for (Process *process = system == NULL ? NULL : system->processes; process != NULL; process = process->next) {
    if (process->id != processId || process->has_exited) continue;
    end_process(process, exitCode, 0);
    found = 1;
  }
  unlock(&service);
  return found;
}
