/* Compute systems: creation, states, devices, events and the end. */
#include "service.h"

#include <stdio.h>

System *systems;

static Client *last_closed;

/* ── The stand-in of vmdevicehost, if it is beside us ─────────────────────────────────────────────────────────── */

/* The function of this name, or NULL when there is no such library. */
static void *device_host(const char *name) { return neighbour_function("vmdevicehost", name); }

static HRESULT attach_device(System *system, const wchar_t *instance, const Json *settings) {
  StandInAttachDeviceFunction attach = (StandInAttachDeviceFunction)(uintptr_t)device_host(STAND_IN_ATTACH_DEVICE);
  if (attach == NULL) return system->state == RUNNING || system->state == PAUSED ? E_UNEXPECTED_ : RESULT_OK;
  const Json *configuration = json_member(settings, "Configuration");
  const wchar_t *model = json_text(settings, "HostingModel");
  size_t count = json_count(configuration);
  StandInString *values = calloc(count + 1, sizeof *values);
  size_t i = 0;
  for (const Json *item = configuration == NULL ? NULL : configuration->first; item != NULL; item = item->next) {
    values[i++] = item->text;
  }
  HRESULT result = attach(system->id, instance, json_text(settings, "EmulatorId"),
                          model == NULL ? L"Internal" : model, values, (UINT32)count);
  free(values);
  return result;
}

/* Whether a FlexibleIov entry can be understood; the message says what is wrong otherwise. */
static const char *check_device(const wchar_t *instance, const Json *settings) {
  if (instance == NULL || wide_length(instance) != 36) return "The instance id of a FlexibleIov entry is no GUID.";
  const wchar_t *emulator = json_text(settings, "EmulatorId");
  if (emulator == NULL || wide_length(emulator) != 36) return "EmulatorId of a FlexibleIov entry is no GUID.";
  const Json *configuration = json_member(settings, "Configuration");
  if (configuration != NULL && configuration->kind != JSON_ARRAY) return "Configuration is no array.";
  for (const Json *item = configuration == NULL ? NULL : configuration->first; item != NULL; item = item->next) {
    if (item->kind != JSON_STRING) return "Configuration has something else than strings.";
  }
  return NULL;
}

static const Json *declared_devices(const System *system) {
  return json_path(system->document, "VirtualMachine.Devices.FlexibleIov");
}

/* ── The table ────────────────────────────────────────────────────────────────────────────────────────────────── */

System *find_system(const wchar_t *space, const wchar_t *id) {
  for (System *system = systems; system != NULL; system = system->next) {
    if (system->state != STOPPED && wide_equal(system->space, space) && wide_equal(system->id, id)) return system;
  }
  return NULL;
}

Client *add_client(System *system, Process *process) {
  Client *client = calloc(1, sizeof *client);
  client->system = system;
  client->process = process;
  client->is_open = 1;
  client->number = RecorderOpenHandle(process == NULL ? "system" : "process", system->id, client);
  Client **list = process == NULL ? &system->clients : &process->clients;
  client->next = *list;
  *list = client;
  if (process == NULL) system->open_handles++;
  return client;
}

static void tell_open(Client *client) {
  StandInOpenHandleFunction tell = (StandInOpenHandleFunction)(uintptr_t)device_host(STAND_IN_OPEN_HANDLE);
  if (tell != NULL) tell((void *)(uintptr_t)client->number, client->system->id);
}

/* ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────── */

void end_system(System *system, HRESULT status, const char *type, const char *detail, const char *initiator) {
  StandInDetachSystemFunction detach = (StandInDetachSystemFunction)(uintptr_t)device_host(STAND_IN_DETACH_SYSTEM);
  if (detach != NULL) detach(system->id);
  lock(&service);
  if (system->state == STOPPED) {
    unlock(&service);
    return;
  }
  system->exit_type = type;
  system->exit_document = exit_document(status, type, detail, initiator);
  system->state = STOPPED;
  system->is_listed = 0;
  for (Process *process = system->processes; process != NULL; process = process->next) {
    end_process(process, 0xffffffff, (int32_t)CONNECTION_CLOSED_);
  }
  signal_all(&changed);
  unlock(&service);
}

static void deliver_exit(void *argument) {
  System *system = argument;
  RecorderGate("HcsEventSystemExited", system->id, STAND_IN_AT_OPERATION);
  lock(&service);
  post_to_system(system, 1, system->exit_document);
  unlock(&service);
}

void announce_exit(System *system) { RecorderRun(deliver_exit, system); }

/* An end that nobody called for: the guest's, or that of the last handle. */
typedef struct Ending {
  System *system;
  HRESULT status;
  const char *type;
  const char *detail;
  const char *initiator;
} Ending;

static void end_alone(void *argument) {
  Ending *ending = argument;
  end_system(ending->system, ending->status, ending->type, ending->detail, ending->initiator);
  announce_exit(ending->system);
  free(ending);
}

/* With the lock held. False when it is ending already. */
static int start_ending(System *system, Ending ending) {
  if (system->is_ending || system->state == STOPPED) return 0;
  system->is_ending = 1;
  Ending *copy = malloc(sizeof *copy);
  *copy = ending;
  copy->system = system;
  RecorderRun(end_alone, copy);
  return 1;
}

/* ── What calls do when their turn comes ──────────────────────────────────────────────────────────────────────── */

static State state_of(System *system) {
  lock(&service);
  State state = system->state;
  unlock(&service);
  return state;
}

static HRESULT wrong_state(System *system, Wide *document) {
  if (state_of(system) == STOPPED) return write_error(document, SYSTEM_ALREADY_STOPPED_, "The system has stopped.");
  return write_error(document, INVALID_STATE_, "The system is in another state.");
}

/* Moves on, unless the system has ended meanwhile. */
static int become(System *system, State state) {
  lock(&service);
  int lives = system->state != STOPPED;
  if (lives) system->state = state;
  unlock(&service);
  return lives;
}

static HRESULT do_create(Job *job, Wide *document) {
  System *system = job->system;
  static const char *const kinds[] = { "VirtualMachine", "Container", "HostedSystem" };
  int count = 0;
  const char *wrong = NULL;
  for (int i = 0; i < 3; i++) count += json_member(system->document, kinds[i]) != NULL;
  if (count != 1) wrong = "The document must have exactly one of VirtualMachine, Container, HostedSystem.";
  const Json *devices = declared_devices(system);
  for (const Json *item = devices == NULL ? NULL : devices->first; item != NULL && wrong == NULL; item = item->next) {
    wrong = check_device(item->name, item);
  }
  HRESULT result = wrong == NULL ? RESULT_OK : write_error(document, INVALID_JSON_, wrong);
  StandInCreateSystemFunction create = (StandInCreateSystemFunction)(uintptr_t)device_host(STAND_IN_CREATE_SYSTEM);
  if (result == RESULT_OK && create != NULL && json_member(system->document, "VirtualMachine") != NULL) {
    const Json *size = json_path(system->document, "VirtualMachine.ComputeTopology.Memory.SizeInMB");
    result = create(system->id, size == NULL ? 256 : (UINT64)size->number);
    for (Client *client = system->clients; client != NULL; client = client->next) tell_open(client);
    for (const Json *item = devices == NULL ? NULL : devices->first; item != NULL && result == RESULT_OK;
         item = item->next) {
      result = attach_device(system, item->name, item);
      if (result != RESULT_OK) write_device_error(document, result, item->name);
    }
  }
  lock(&service);
  system->state = result == RESULT_OK ? CREATED : STOPPED;
  system->is_listed = result == RESULT_OK;
  if (result != RESULT_OK) {
    system->exit_type = "UnexpectedExit";
    system->exit_document = exit_document(result, "UnexpectedExit", "HcsApiFatalError", "Internal");
  }
  signal_all(&changed);
  unlock(&service);
  return result;
}

static HRESULT do_start(Job *job, Wide *document) {
  System *system = job->system;
  State state = state_of(system);
  if (state == STOPPED) {
    return write_error(document, TERMINATED_DURING_START_, "The system was terminated before it started.");
  }
  if (state != CREATED) return wrong_state(system, document);
  const Json *devices = declared_devices(system);
  StandInStartSystemFunction start = (StandInStartSystemFunction)(uintptr_t)device_host(STAND_IN_START_SYSTEM);
  wchar_t failed[40] = { 0 };
  HRESULT result = RESULT_OK;
  if (start != NULL && json_member(system->document, "VirtualMachine") != NULL) {
    result = start(system->id, failed);
  } else if (json_count(devices) > 0) {
    result = E_UNEXPECTED_;
    memcpy(failed, devices->first->name, (wide_length(devices->first->name) + 1) * sizeof(wchar_t));
  }
  if (state_of(system) == STOPPED) {
    return write_error(document, TERMINATED_DURING_START_, "The system was terminated while it started.");
  }
  if (result == RESULT_OK) {
    become(system, RUNNING);
    return RESULT_OK;
  }
  write_device_error(document, result, failed);
  /* Without a device host nothing has run yet, and the system can be started again. */
  if (result != E_UNEXPECTED_) {
    end_system(system, result, "UnexpectedExit", "UnexpectedExit", "Internal");
    job->has_ended_system = 1;
  }
  return result;
}

static HRESULT do_pause(Job *job, Wide *document) {
  if (state_of(job->system) != RUNNING) return wrong_state(job->system, document);
  StandInPauseSystemFunction pause = (StandInPauseSystemFunction)(uintptr_t)device_host(STAND_IN_PAUSE_SYSTEM);
  HRESULT result = pause == NULL ? RESULT_OK : pause(job->system->id);
  if (result != RESULT_OK) return write_error(document, result, "A device cannot be paused.");
  return become(job->system, PAUSED) ? RESULT_OK : wrong_state(job->system, document);
}

static HRESULT do_resume(Job *job, Wide *document) {
  if (state_of(job->system) != PAUSED) return wrong_state(job->system, document);
  StandInPauseSystemFunction resume = (StandInPauseSystemFunction)(uintptr_t)device_host(STAND_IN_RESUME_SYSTEM);
  HRESULT result = resume == NULL ? RESULT_OK : resume(job->system->id);
  if (result != RESULT_OK) return write_error(document, result, "A device cannot go on.");
  return become(job->system, RUNNING) ? RESULT_OK : wrong_state(job->system, document);
}

static HRESULT do_save(Job *job, Wide *document) {
  if (state_of(job->system) != PAUSED) return wrong_state(job->system, document);
  Json *options = job->text == NULL ? NULL : json_read(job->text, NULL);
  int is_template = json_is(json_member(options, "SaveType"), "AsTemplate");
  int has_path = json_text(options, "SaveStateFilePath") != NULL;
  json_free(options);
  if (is_template) become(job->system, SAVED_AS_TEMPLATE);
  else if (!has_path) return write_error(document, INVALID_ARGUMENT_, "SaveStateFilePath is missing.");
  return RESULT_OK;
}

static HRESULT do_terminate(Job *job, Wide *document) {
  if (state_of(job->system) == STOPPED) return wrong_state(job->system, document);
  end_system(job->system, TERMINATED_, "ForcedExit", "Terminate", "Client");
  job->has_ended_system = 1;
  return RESULT_OK;
}

static HRESULT do_shut_down(Job *job, Wide *document) {
  System *system = job->system;
  if (state_of(system) != RUNNING) return wrong_state(system, document);
  if (json_path(system->document, "VirtualMachine.GuestConnection") == NULL &&
      json_path(system->document, "VirtualMachine.Services.Shutdown") == NULL &&
      json_member(system->document, "VirtualMachine") != NULL) {
    return write_error(document, NOT_CONFIGURED_, "Nothing in the guest can shut it down.");
  }
  lock(&service);
  int was_alive = start_ending(system, (Ending){ NULL, RESULT_OK, "GracefulExit", "Shutdown", "Client" });
  unlock(&service);
  return was_alive ? RESULT_OK : write_error(document, SYSTEM_ALREADY_STOPPED_, "The system is ending.");
}

static HRESULT do_crash(Job *job, Wide *document) {
  System *system = job->system;
  if (state_of(system) != RUNNING) return wrong_state(system, document);
  Wide report = { 0 };
  wide_ascii(&report, "{\"SystemId\":");
  wide_json(&report, system->id);
  wide_ascii(&report, ",\"CrashParameters\":[128,0,0,0,0]}");
  lock(&service);
  post_to_system(system, 2, report.data);
  post_to_system(system, 3, report.data);
  start_ending(system, (Ending){ NULL, UNEXPECTED_EXIT_, "UnexpectedExit", "UnexpectedExit", "GuestOS" });
  unlock(&service);
  free(report.data);
  return RESULT_OK;
}

static HRESULT do_properties(Job *job, Wide *document) {
  lock(&service);
  HRESULT result = write_properties(document, job->system, job->text);
  unlock(&service);
  return result;
}

static HRESULT remove_device(System *system, const wchar_t *instance, Wide *document) {
  if (!system->allows_removal) {
    return write_error(document, NOT_SUPPORTED_, "A FlexibleIov device cannot be removed.");
  }
  StandInDetachDeviceFunction detach = (StandInDetachDeviceFunction)(uintptr_t)device_host(STAND_IN_DETACH_DEVICE);
  HRESULT result = detach == NULL ? NOT_FOUND_ : detach(system->id, instance);
  return result == RESULT_OK ? result : write_error(document, result, "The device cannot be removed.");
}

static HRESULT change_device(System *system, const wchar_t *instance, const Json *request, Wide *document) {
  const Json *type = json_member(request, "RequestType");
  if (json_is(type, "Remove")) return remove_device(system, instance, document);
  if (!json_is(type, "Add")) return write_error(document, INVALID_ARGUMENT_, "RequestType must be Add.");
  const char *wrong = check_device(instance, json_member(request, "Settings"));
  if (wrong != NULL) return write_error(document, INVALID_JSON_, wrong);
  HRESULT result = attach_device(system, instance, json_member(request, "Settings"));
  return result == RESULT_OK ? result : write_device_error(document, result, instance);
}

static HRESULT do_modify(Job *job, Wide *document) {
  System *system = job->system;
  State state = state_of(system);
  if (state != CREATED && state != RUNNING) return wrong_state(system, document);
  Json *request = json_read(job->text, NULL);
  const wchar_t *path = json_text(request, "ResourcePath");
  static const char devices[] = "VirtualMachine/Devices/FlexibleIov/";
  HRESULT result = RESULT_OK;
  size_t i = 0;
  if (path == NULL || *path == 0) {
    if (json_member(request, "GuestRequest") == NULL) {
      result = write_error(document, INVALID_ARGUMENT_, "There is neither ResourcePath nor GuestRequest.");
    }
  } else {
    while (devices[i] != 0 && path[i] == (wchar_t)devices[i]) i++;
    if (devices[i] == 0) result = change_device(system, path + i, request, document);
  }
  json_free(request);
  return result;
}

static int matches(const Json *list, const wchar_t *value) {
  if (json_count(list) == 0) return 1;
  for (const Json *item = list->first; item != NULL; item = item->next) {
    if (item->kind == JSON_STRING && value != NULL && wide_equal(item->text, value)) return 1;
  }
  return 0;
}

static HRESULT enumerate(const wchar_t *space, const wchar_t *query, Wide *document) {
  Json *asked = query == NULL || *query == 0 ? NULL : json_read(query, NULL);
  int count = 0;
  wide_ascii(document, "[");
  lock(&service);
  for (System *system = systems; system != NULL; system = system->next) {
    if (!system->is_listed || !wide_equal(system->space, space)) continue;
    const wchar_t *type = json_member(system->document, "VirtualMachine") != NULL ? L"VirtualMachine" : L"Container";
    if (!matches(json_member(asked, "Ids"), system->id) || !matches(json_member(asked, "Names"), system->id) ||
        !matches(json_member(asked, "Owners"), system->owner) || !matches(json_member(asked, "Types"), type)) continue;
    if (count++ > 0) wide_ascii(document, ",");
    write_basic_properties(document, system);
  }
  unlock(&service);
  wide_ascii(document, "]");
  json_free(asked);
  return RESULT_OK;
}

static HRESULT do_enumerate(Job *job, Wide *document) { return enumerate(NULL, job->text, document); }

/* The namespace stands before the query, with a line feed between. */
static HRESULT do_enumerate_in_namespace(Job *job, Wide *document) {
  wchar_t *query = job->text;
  while (*query != '\n') query++;
  *query++ = 0;
  return enumerate(job->text, query, document);
}

/* ── Live migration: only the order of the calls ──────────────────────────────────────────────────────────────── */

static HRESULT do_migrate_initialize(Job *job, Wide *document) {
  if (state_of(job->system) != RUNNING) return wrong_state(job->system, document);
  job->system->is_migrating = 1;
  return RESULT_OK;
}

static void tell_migration(System *system, const char *event, const char *result) {
  Wide data = { 0 };
  wide_ascii(&data, "{\"Origin\":\"Source\",\"Event\":\"");
  wide_ascii(&data, event);
  wide_ascii(&data, "\",\"Result\":\"");
  wide_ascii(&data, result);
  wide_ascii(&data, "\"}");
  lock(&service);
  for (Client *client = system->clients; client != NULL; client = client->next) {
    if ((client->options & 4) != 0) post_event(client, 0x80000003, data.data, NULL);
  }
  unlock(&service);
  free(data.data);
}

static HRESULT do_migrate_start(Job *job, Wide *document) {
  if (!job->system->is_migrating) return wrong_state(job->system, document);
  if (!job->operation->has_socket) {
    return write_error(document, INVALID_ARGUMENT_, "The operation carries no socket.");
  }
  tell_migration(job->system, "SetupDone", "Success");
  return RESULT_OK;
}

static HRESULT do_migrate_transfer(Job *job, Wide *document) {
  if (!job->system->is_migrating) return wrong_state(job->system, document);
  tell_migration(job->system, "TransferInProgress", "Success");
  return RESULT_OK;
}

static HRESULT do_migrate_finalize(Job *job, Wide *document) {
  if (!job->system->is_migrating) return wrong_state(job->system, document);
  Json *options = job->text == NULL ? NULL : json_read(job->text, NULL);
  int stops = json_is(json_member(options, "FinalizedOperation"), "Stop");
  json_free(options);
  job->system->is_migrating = 0;
  tell_migration(job->system, "MigrationDone", "Success");
  lock(&service);
  if (stops) start_ending(job->system, (Ending){ NULL, RESULT_OK, "GracefulExit", "Terminate", "Client" });
  unlock(&service);
  return RESULT_OK;
}

static HRESULT do_migrate_cancel(Job *job, Wide *document) {
  if (!job->system->is_migrating) return wrong_state(job->system, document);
  job->system->is_migrating = 0;
  tell_migration(job->system, "MigrationFailed", "MigrationCancelled");
  return RESULT_OK;
}

/* ── The functions ────────────────────────────────────────────────────────────────────────────────────────────── */

STAND_IN_EXPORT HRESULT WINAPI HcsEnumerateComputeSystems(PCWSTR query, HCS_OPERATION operation) {
  uint64_t line = RecorderBegin(NULL, NUMBER(operation), "HcsEnumerateComputeSystems(%s, %h)", query,
                                NUMBER(operation));
  AsyncCall call = { "HcsEnumerateComputeSystems", 0, operation, NULL, NULL, query, do_enumerate, 1 };
  HRESULT result = start_call(&call);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsEnumerateComputeSystemsInNamespace(PCWSTR idNamespace, PCWSTR query,
                                                                     HCS_OPERATION operation) {
  uint64_t line = RecorderBegin(NULL, NUMBER(operation), "HcsEnumerateComputeSystemsInNamespace(%s, %s, %h)",
                                idNamespace, query, NUMBER(operation));
  Wide text = { 0 };
  wide_text(&text, idNamespace == NULL ? L"" : idNamespace);
  wide_ascii(&text, "\n");
  wide_text(&text, query == NULL ? L"" : query);
  AsyncCall call = { "HcsEnumerateComputeSystemsInNamespace", 0, operation, NULL, NULL, text.data,
                     do_enumerate_in_namespace, 1 };
  HRESULT result = start_call(&call);
  free(text.data);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

/* Makes the system and starts its creation. `options` may be NULL. */
static HRESULT create(const char *function, const wchar_t *space, const wchar_t *id, const wchar_t *configuration,
                      HCS_OPERATION operation, const HCS_CREATE_OPTIONS_1 *options, HCS_SYSTEM *handle) {
  AsyncCall call = { function, 1, operation, NULL, NULL, NULL, do_create, 0 };
  size_t position = 0;
  if (handle == NULL || id == NULL || *id == 0 || configuration == NULL) {
    return refuse_call(&call, INVALID_ARGUMENT_, "An argument is missing.");
  }
  *handle = NULL;
  RecorderBindHandle(NUMBER(operation), id);
  Json *document = json_read(configuration, &position);
  if (document == NULL || document->kind != JSON_OBJECT) {
    char message[96];
    snprintf(message, sizeof message, "The document is no JSON object: see position %u.", (unsigned)position);
    json_free(document);
    return refuse_call(&call, INVALID_JSON_, message);
  }
  System *system = calloc(1, sizeof *system);
  system->space = wide_copy(space);
  system->id = wide_copy(id);
  system->document = document;
  system->owner = wide_copy(json_text(document, "Owner"));
  system->next_process = 1000;
  lock(&service);
  int exists = find_system(space, id) != NULL;
  Client *client = NULL;
  if (!exists) {
    System **end = &systems;
    while (*end != NULL) end = &(*end)->next;
    *end = system;
    client = add_client(system, NULL);
    if (options != NULL) {
      client->options = (uint32_t)options->CallbackOptions;
      client->context = options->CallbackContext;
      client->callback = options->Callback;
    }
  }
  unlock(&service);
  if (exists) return refuse_call(&call, SYSTEM_ALREADY_EXISTS_, "A system with this id exists.");
  call.client = client;
  call.system = system;
  HRESULT result = start_call(&call);
  if (result == RESULT_OK) {
    *handle = HANDLE_OF(HCS_SYSTEM, client->number);
    return result;
  }
  /* It never was. */
  RecorderCloseHandle("system", client->number, function);
  lock(&service);
  client->is_open = 0;
  system->open_handles = 0;
  system->state = STOPPED;
  system->exit_type = "UnexpectedExit";
  unlock(&service);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsCreateComputeSystem(PCWSTR id, PCWSTR configuration, HCS_OPERATION operation,
                                                      const SECURITY_DESCRIPTOR *securityDescriptor,
                                                      HCS_SYSTEM *computeSystem) {
  uint64_t line = RecorderBegin(id, NUMBER(operation), "HcsCreateComputeSystem(%s, %s, %h, %p)", id, configuration,
                                NUMBER(operation), (const void *)securityDescriptor);
  HRESULT result = create("HcsCreateComputeSystem", NULL, id, configuration, operation, NULL, computeSystem);
  RecorderEnd(line, (uint32_t)result, "%h", computeSystem == NULL ? (uint64_t)0 : NUMBER(*computeSystem));
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsCreateComputeSystemInNamespace(PCWSTR idNamespace, PCWSTR id, PCWSTR configuration,
                                                                 HCS_OPERATION operation,
                                                                 const HCS_CREATE_OPTIONS *options,
                                                                 HCS_SYSTEM *computeSystem) {
  const HCS_CREATE_OPTIONS_1 *one = (const HCS_CREATE_OPTIONS_1 *)(const void *)options;
  uint64_t line;
  if (one == NULL) {
    line = RecorderBegin(id, NUMBER(operation), "HcsCreateComputeSystemInNamespace(%s, %s, %s, %h, null)",
                         idNamespace, id, configuration, NUMBER(operation));
  } else {
    line = RecorderBegin(id, NUMBER(operation),
                         "HcsCreateComputeSystemInNamespace(%s, %s, %s, %h, {%d, %x, %p, %d, %p, %p})", idNamespace,
                         id, configuration, NUMBER(operation), (uint32_t)one->Version, NUMBER(one->UserToken),
                         (const void *)one->SecurityDescriptor, (uint32_t)one->CallbackOptions, one->CallbackContext,
                         (const void *)(uintptr_t)one->Callback);
  }
  HRESULT result = RESULT_OK;
  if (one != NULL && one->Version != HcsCreateOptions_1) result = INVALID_ARGUMENT_;
  if (result == RESULT_OK) {
    result = create("HcsCreateComputeSystemInNamespace", idNamespace, id, configuration, operation, one,
                    computeSystem);
  } else if (computeSystem != NULL) *computeSystem = NULL;
  RecorderEnd(line, (uint32_t)result, "%h", computeSystem == NULL ? (uint64_t)0 : NUMBER(*computeSystem));
  return result;
}

static HRESULT open_system(const char *function, const wchar_t *space, PCWSTR id, DWORD access, HCS_SYSTEM *handle) {
  uint32_t failure;
  if (handle == NULL || id == NULL || access != 0x10000000u) return INVALID_ARGUMENT_;
  *handle = NULL;
  RecorderGate(function, id, STAND_IN_AT_CALL);
  if (RecorderFails(function, id, STAND_IN_AT_CALL, &failure, NULL)) return (HRESULT)failure;
  lock(&service);
  System *system = find_system(space, id);
  Client *client = system == NULL || !system->is_listed ? NULL : add_client(system, NULL);
  unlock(&service);
  if (client == NULL) return SYSTEM_NOT_FOUND_;
  tell_open(client);
  *handle = HANDLE_OF(HCS_SYSTEM, client->number);
  return RESULT_OK;
}

STAND_IN_EXPORT HRESULT WINAPI HcsOpenComputeSystem(PCWSTR id, DWORD requestedAccess, HCS_SYSTEM *computeSystem) {
  uint64_t line = RecorderBegin(id, 0, "HcsOpenComputeSystem(%s, %d)", id, (uint32_t)requestedAccess);
  HRESULT result = open_system("HcsOpenComputeSystem", NULL, id, requestedAccess, computeSystem);
  RecorderEnd(line, (uint32_t)result, "%h", computeSystem == NULL ? (uint64_t)0 : NUMBER(*computeSystem));
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsOpenComputeSystemInNamespace(PCWSTR idNamespace, PCWSTR id, DWORD requestedAccess,
                                                               HCS_SYSTEM *computeSystem) {
  uint64_t line = RecorderBegin(id, 0, "HcsOpenComputeSystemInNamespace(%s, %s, %d)", idNamespace, id,
                                (uint32_t)requestedAccess);
  HRESULT result = open_system("HcsOpenComputeSystemInNamespace", idNamespace, id, requestedAccess, computeSystem);
  RecorderEnd(line, (uint32_t)result, "%h", computeSystem == NULL ? (uint64_t)0 : NUMBER(*computeSystem));
  return result;
}

STAND_IN_EXPORT void WINAPI HcsCloseComputeSystem(HCS_SYSTEM computeSystem) {
  const char *name = "HcsCloseComputeSystem";
  const wchar_t *subject = RecorderHandleSubject(NUMBER(computeSystem));
  RecorderNote(subject, 0, "HcsCloseComputeSystem(%h)", NUMBER(computeSystem));
  RecorderGate(name, subject, STAND_IN_AT_CALL);
  Client *client;
  if (!close_client("system", NUMBER(computeSystem), name, &client)) return;
  StandInCloseHandleFunction tell = (StandInCloseHandleFunction)(uintptr_t)device_host(STAND_IN_CLOSE_HANDLE);
  if (tell != NULL) tell((void *)(uintptr_t)client->number);
  lock(&service);
  last_closed = client;
  System *system = client->system;
  if (--system->open_handles == 0 &&
      json_is_true(json_member(system->document, "ShouldTerminateOnLastHandleClosed"))) {
    start_ending(system, (Ending){ NULL, TERMINATED_, "ForcedExit", "Terminate", "Internal" });
  }
  unlock(&service);
}

/* A call on a system whose line has begun. */
static HRESULT call_system(AsyncCall call, HCS_SYSTEM handle, uint64_t line) {
  call.client = system_client(handle, call.function);
  HRESULT result = INVALID_HANDLE_;
  if (call.client != NULL) {
    call.system = call.client->system;
    RecorderBindHandle(NUMBER(call.operation), call.system->id);
    lock(&service);
    int is_gone = call.system->state == STOPPED || (call.work == do_terminate && call.system->is_ending);
    int is_pending = call.system->state == CREATING;
    int migrates = call.system->is_migrating && call.type != 19 && call.work != do_terminate;
    if (!is_gone && call.work == do_terminate) call.system->is_ending = !is_pending;
    unlock(&service);
    /* Terminate overtakes everything but the creation. */
    call.overtakes = call.work == do_terminate && !is_pending;
    if (is_gone && call.work != do_properties) {
      result = refuse_call(&call, SYSTEM_ALREADY_STOPPED_, "The system has stopped.");
    } else if (migrates) result = refuse_call(&call, INVALID_STATE_, "The system is being migrated.");
    else {
      result = start_call(&call);
      if (result != RESULT_OK && call.work == do_terminate && !is_gone) {
        lock(&service);
        call.system->is_ending = 0;
        unlock(&service);
      }
    }
  }
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

#define SYSTEM_CALL(name, type, work)                                                                           \
  STAND_IN_EXPORT HRESULT WINAPI name(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options) {      \
    AsyncCall call = { #name, type, operation, NULL, NULL, options, work, 0 };                                  \
    uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(computeSystem)), NUMBER(operation),              \
                                  #name "(%h, %h, %s)", NUMBER(computeSystem), NUMBER(operation), options);     \
    return call_system(call, computeSystem, line);                                                              \
  }

SYSTEM_CALL(HcsStartComputeSystem, 2, do_start)
SYSTEM_CALL(HcsShutDownComputeSystem, 3, do_shut_down)
SYSTEM_CALL(HcsTerminateComputeSystem, 7, do_terminate)
SYSTEM_CALL(HcsCrashComputeSystem, 15, do_crash)
SYSTEM_CALL(HcsPauseComputeSystem, 4, do_pause)
SYSTEM_CALL(HcsResumeComputeSystem, 5, do_resume)
SYSTEM_CALL(HcsSaveComputeSystem, 6, do_save)
SYSTEM_CALL(HcsGetComputeSystemProperties, 9, do_properties)
SYSTEM_CALL(HcsInitializeLiveMigrationOnSource, 19, do_migrate_initialize)
SYSTEM_CALL(HcsStartLiveMigrationOnSource, 19, do_migrate_start)
SYSTEM_CALL(HcsStartLiveMigrationTransfer, 19, do_migrate_transfer)
SYSTEM_CALL(HcsFinalizeLiveMigration, 19, do_migrate_finalize)
SYSTEM_CALL(HcsCancelLiveMigration, 19, do_migrate_cancel)

STAND_IN_EXPORT HRESULT WINAPI HcsModifyComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation,
                                                      PCWSTR configuration, HANDLE identity) {
  AsyncCall call = { "HcsModifyComputeSystem", 8, operation, NULL, NULL, configuration, do_modify, 0 };
  uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(computeSystem)), NUMBER(operation),
                                "HcsModifyComputeSystem(%h, %h, %s, %x)", NUMBER(computeSystem), NUMBER(operation),
                                configuration, NUMBER(identity));
  Json *request = configuration == NULL ? NULL : json_read(configuration, NULL);
  int is_object = request != NULL && request->kind == JSON_OBJECT;
  json_free(request);
  if (is_object) return call_system(call, computeSystem, line);
  HRESULT result = INVALID_HANDLE_;
  call.client = system_client(computeSystem, call.function);
  if (call.client != NULL) result = refuse_call(&call, INVALID_JSON_, "The request is no JSON object.");
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsWaitForComputeSystemExit(HCS_SYSTEM computeSystem, DWORD timeoutMs, PWSTR *result) {
  const char *name = "HcsWaitForComputeSystemExit";
  uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(computeSystem)), 0,
                                "HcsWaitForComputeSystemExit(%h, %d)", NUMBER(computeSystem), (uint32_t)timeoutMs);
  uint64_t until = timeoutMs == 0xffffffffu ? UINT64_MAX : now_ms() + timeoutMs;
  HRESULT status = INVALID_HANDLE_;
  uint32_t failure;
  if (result != NULL) *result = NULL;
  Client *client = system_client(computeSystem, name);
  if (client != NULL) RecorderGate(name, subject_of(client), STAND_IN_AT_CALL);
  if (client != NULL && RecorderFails(name, subject_of(client), STAND_IN_AT_CALL, &failure, NULL)) {
    status = (HRESULT)failure;
  } else if (client != NULL) {
    lock(&service);
    System *system = client->system;
    while (client->is_open && system->state != STOPPED) {
      if (!wait_signal(&changed, &service, until)) break;
    }
    status = system->state == STOPPED ? RESULT_OK : client->is_open ? OPERATION_TIMEOUT_ : INVALID_HANDLE_;
    unlock(&service);
    if (status == RESULT_OK) give_document(result, system->exit_document);
  }
  RecorderEnd(line, (uint32_t)status, "%s", result == NULL ? NULL : (const wchar_t *)*result);
  return status;
}

STAND_IN_EXPORT HRESULT WINAPI HcsSetComputeSystemCallback(HCS_SYSTEM computeSystem, HCS_EVENT_OPTIONS callbackOptions,
                                                           const void *context, HCS_EVENT_CALLBACK callback) {
  const char *name = "HcsSetComputeSystemCallback";
  uint64_t line = RecorderBegin(RecorderHandleSubject(NUMBER(computeSystem)), 0,
                                "HcsSetComputeSystemCallback(%h, %d, %p, %p)", NUMBER(computeSystem),
                                (uint32_t)callbackOptions, context, (const void *)(uintptr_t)callback);
  uint32_t failure;
  HRESULT result = INVALID_HANDLE_;
  Client *client = system_client(computeSystem, name);
  if (client != NULL && RecorderFails(name, subject_of(client), STAND_IN_AT_CALL, &failure, NULL)) {
    result = (HRESULT)failure;
  } else if (client != NULL) result = set_callback(name, client, (uint32_t)callbackOptions, context, callback);
  RecorderEnd(line, (uint32_t)result, NULL);
  return result;
}

/* ── What tests do to systems ─────────────────────────────────────────────────────────────────────────────────── */

/* The system of this id in the default namespace, ended ones last. With the lock held. */
static System *any_system(const wchar_t *id) {
  System *found = find_system(NULL, id);
  for (System *system = systems; system != NULL && found == NULL; system = system->next) {
    if (wide_equal(system->id, id)) found = system;
  }
  return found;
}

STAND_IN_EXPORT uint32_t StandInRaiseEvent(PCWSTR id, uint32_t type, PCWSTR data) {
  lock(&service);
  System *system = any_system(id);
  uint32_t count = system == NULL ? 0 : post_to_system(system, type, data);
  unlock(&service);
  return count;
}

/* 0 when there is no such system that runs. */
STAND_IN_EXPORT uint32_t StandInEndSystem(PCWSTR id, PCWSTR exitType, uint32_t status) {
  static const char *const types[] = { "GracefulExit", "ForcedExit", "UnexpectedExit", "None", "Unknown" };
  lock(&service);
  System *system = find_system(NULL, id);
  const char *type = "Unknown";
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    Json text = { .kind = JSON_STRING, .text = (wchar_t *)(uintptr_t)exitType };
    if (json_is(&text, types[i])) type = types[i];
  }
  const char *detail = strcmp(type, "GracefulExit") == 0 ? "Shutdown" : "UnexpectedExit";
  int ends = system != NULL && start_ending(system, (Ending){ NULL, (HRESULT)status, type, detail, "GuestOS" });
  unlock(&service);
  return ends ? 1 : 0;
}

/* Lets this system's FlexibleIov devices be removed, as some builds of Windows do. */
STAND_IN_EXPORT void StandInAllowRemoval(PCWSTR id) {
  lock(&service);
  System *system = any_system(id);
  if (system != NULL) system->allows_removal = 1;
  unlock(&service);
}

typedef struct LateEvent {
  Client *client;
  uint32_t type;
  wchar_t *data;
} LateEvent;

static void call_late(void *argument) {
  LateEvent *late = argument;
  HCS_EVENT told = { .Type = (HCS_EVENT_TYPE)late->type, .EventData = late->data, .Operation = NULL };
  late->client->callback(&told, late->client->context);
}

STAND_IN_EXPORT uint32_t StandInCallAfterClose(PCWSTR id, uint32_t type, PCWSTR data) {
  lock(&service);
  Client *client = last_closed;
  unlock(&service);
  if (client == NULL || client->callback == NULL || !wide_equal(client->system->id, id)) return 0;
  LateEvent *late = malloc(sizeof *late);
  *late = (LateEvent){ client, type, wide_copy(data) };
  RecorderNote(id, 0, "late HCS_EVENT_CALLBACK(%h, %d, %s, null)", client->number, type, (const wchar_t *)data);
  RecorderRun(call_late, late);
  return 1;
}
