/* The documents that the service answers with. */
#include "service.h"

HRESULT write_error(Wide *out, HRESULT result, const char *message) {
  wide_ascii(out, "{\"Error\":");
  wide_number(out, result);
  wide_ascii(out, ",\"ErrorMessage\":\"");
  wide_ascii(out, message);
  wide_ascii(out, "\"}");
  return result;
}

HRESULT write_device_error(Wide *out, HRESULT result, const wchar_t *instance) {
  wide_ascii(out, "{\"Error\":");
  wide_number(out, result);
  wide_ascii(out, ",\"ErrorMessage\":\"The device cannot be powered on.\",\"Attribution\":[{\"VirtualDeviceFailure\":{"
                  "\"Detail\":\"FinishReservingResources\",\"Name\":\"FlexIo\","
                  "\"DeviceId\":\"a8679153-843f-467f-ad7e-f429328f7568\",\"InstanceId\":");
  wide_json(out, instance);
  wide_ascii(out, "}}]}");
  return result;
}

wchar_t *exit_document(HRESULT status, const char *type, const char *detail, const char *initiator) {
  Wide out = { 0 };
  wide_ascii(&out, "{\"Status\":");
  wide_number(&out, status);
  wide_ascii(&out, ",\"ExitType\":\"");
  wide_ascii(&out, type);
  wide_ascii(&out, "\",\"Attribution\":[{\"SystemExit\":{\"Detail\":\"");
  wide_ascii(&out, detail);
  wide_ascii(&out, "\",\"Initiator\":\"");
  wide_ascii(&out, initiator);
  wide_ascii(&out, "\"}}]}");
  return out.data;
}

const char *system_type(const System *system) {
  return json_member(system->document, "VirtualMachine") != NULL ? "VirtualMachine" : "Container";
}

/* The id itself where it is a GUID, otherwise one made from it. */
static void write_runtime_id(Wide *out, const wchar_t *id) {
  static const char digits[] = "0123456789abcdef";
  static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  int is_guid = wide_length(id) == 36;
  for (size_t i = 0; is_guid && i < 36; i++) {
    wchar_t c = id[i];
    int is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    is_guid = pattern[i] == '-' ? c == '-' : is_hex;
  }
  if (is_guid) {
    wide_json(out, id);
    return;
  }
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const wchar_t *p = id; *p != 0; p++) hash = (hash ^ *p) * 0x100000001b3ull;
  char text[40] = "\"";
  for (size_t i = 0; i < 36; i++) {
    hash = hash * 6364136223846793005ull + 1442695040888963407ull;
    text[i + 1] = pattern[i] == '-' ? '-' : digits[hash >> 60];
  }
  text[37] = '"';
  text[38] = 0;
  wide_ascii(out, text);
}

/* The members of the basic properties, without braces. Before the start there is no State. */
static void write_basic_members(Wide *out, System *system) {
  static const char *const names[] = { NULL, NULL, "Running", "Paused", "SavedAsTemplate", "Stopped" };
  wide_ascii(out, "\"Id\":");
  wide_json(out, system->id);
  wide_ascii(out, ",\"SystemType\":\"");
  wide_ascii(out, system_type(system));
  wide_ascii(out, "\",\"Name\":");
  wide_json(out, system->id);
  if (system->owner != NULL) {
    wide_ascii(out, ",\"Owner\":");
    wide_json(out, system->owner);
  }
  wide_ascii(out, ",\"RuntimeId\":");
  write_runtime_id(out, system->id);
  if (names[system->state] != NULL) {
    wide_ascii(out, ",\"State\":\"");
    wide_ascii(out, names[system->state]);
    wide_ascii(out, "\"");
  }
  if (system->state == STOPPED) {
    wide_ascii(out, ",\"Stopped\":true,\"ExitType\":\"");
    wide_ascii(out, system->exit_type);
    wide_ascii(out, "\"");
  }
}

void write_basic_properties(Wide *out, System *system) {
  wide_ascii(out, "{");
  write_basic_members(out, system);
  wide_ascii(out, "}");
}

void write_process_status(Wide *out, const Process *process) {
  wide_ascii(out, "{\"ProcessId\":");
  wide_number(out, process->id);
  wide_ascii(out, process->has_exited ? ",\"Exited\":true,\"ExitCode\":" : ",\"Exited\":false,\"ExitCode\":");
  wide_number(out, process->exit_code);
  wide_ascii(out, ",\"LastWaitResult\":");
  wide_number(out, process->last_wait_result);
  wide_ascii(out, "}");
}

static void write_process_list(Wide *out, const System *system) {
  int count = 0;
  wide_ascii(out, ",\"ProcessList\":[");
  for (const Process *process = system->processes; process != NULL; process = process->next) {
    if (process->has_exited) continue;
    wide_ascii(out, count++ == 0 ? "{\"ProcessId\":" : ",{\"ProcessId\":");
    wide_number(out, process->id);
    wide_ascii(out, ",\"ImageName\":");
    wide_json(out, process->command_line);
    wide_ascii(out, "}");
  }
  wide_ascii(out, "]");
}

static int write_property(Wide *out, System *system, const Json *type) {
  if (json_is(type, "Basic")) return 1;
  if (json_is(type, "ProcessList")) {
    write_process_list(out, system);
    return 1;
  }
  if (json_is(type, "Memory")) {
    const Json *size = json_path(system->document, "VirtualMachine.ComputeTopology.Memory.SizeInMB");
    if (size == NULL) return 0;
    wide_ascii(out, ",\"Memory\":{\"AvailableMemory\":0,\"AssignedMemory\":");
    wide_number(out, (int64_t)size->number * 256);
    wide_ascii(out, "}");
    return 1;
  }
  if (json_is(type, "Statistics")) {
    wide_ascii(out, ",\"Statistics\":{\"Uptime100ns\":10000000,\"Processor\":{\"TotalRuntime100ns\":5000000}}");
    return 1;
  }
  if (json_is(type, "TerminateOnLastHandleClosed")) {
    int ends = json_is_true(json_member(system->document, "ShouldTerminateOnLastHandleClosed"));
    wide_ascii(out, ends ? ",\"TerminateOnLastHandleClosed\":true" : ",\"TerminateOnLastHandleClosed\":false");
    return 1;
  }
  return 0;
}

static void write_response(Wide *out, System *system, const wchar_t *name) {
  Json key = { .kind = JSON_STRING, .text = (wchar_t *)(uintptr_t)name };
  wide_json(out, name);
  if (json_is(&key, "Basic")) {
    wide_ascii(out, ":{\"Response\":");
    write_basic_properties(out, system);
    wide_ascii(out, "}");
  } else if (json_is(&key, "CompatibilityInfo")) {
    wide_ascii(out, ":{\"Response\":{\"Data\":\"c3RhbmQtaW4=\"}}");
  } else {
    wide_ascii(out, ":{\"Error\":");
    write_error(out, E_NOTIMPL_, "Nothing answers this query.");
    wide_ascii(out, "}");
  }
}

HRESULT write_properties(Wide *out, System *system, const wchar_t *query) {
  Json *asked = query == NULL || *query == 0 ? NULL : json_read(query, NULL);
  if (query != NULL && *query != 0 && (asked == NULL || asked->kind != JSON_OBJECT)) {
    json_free(asked);
    return write_error(out, INVALID_JSON_, "The property query is no JSON object.");
  }
  const Json *types = json_member(asked, "PropertyTypes");
  const Json *queries = json_member(asked, "Queries");
  HRESULT result = RESULT_OK;
  if (system->state == STOPPED && (json_count(types) > 0 || json_count(queries) > 0)) {
    result = write_error(out, SYSTEM_ALREADY_STOPPED_, "The system has stopped.");
  } else {
    Wide answer = { 0 };
    wide_ascii(&answer, "{");
    write_basic_members(&answer, system);
    for (const Json *type = types == NULL ? NULL : types->first; type != NULL; type = type->next) {
      if (!write_property(&answer, system, type)) result = INVALID_ARGUMENT_;
    }
    if (json_count(queries) > 0) {
      wide_ascii(&answer, ",\"PropertyResponses\":{");
      for (const Json *item = queries->first; item != NULL; item = item->next) {
        write_response(&answer, system, item->name);
        if (item->next != NULL) wide_ascii(&answer, ",");
      }
      wide_ascii(&answer, "}");
    }
    wide_ascii(&answer, "}");
    if (result != RESULT_OK) write_error(out, result, "A property type is unknown.");
    else wide_text(out, answer.data);
    free(answer.data);
  }
  json_free(asked);
  return result;
}
