/* Service level calls: all synchronous, without an operation. */
#include "service.h"

/* Waits and fails as tests want. Not 0 when the call has failed with what is in `result`. */
static int troubled(const char *function, const wchar_t *subject, HRESULT *result, PWSTR *document) {
  uint32_t failure;
  wchar_t *text = NULL;
  RecorderGate(function, subject, STAND_IN_AT_CALL);
  if (!RecorderFails(function, subject, STAND_IN_AT_CALL, &failure, &text)) return 0;
  *result = (HRESULT)failure;
  give_document(document, text);
  return 1;
}

static HRESULT fail_with(PWSTR *document, HRESULT result, const char *message) {
  Wide out = { 0 };
  write_error(&out, result, message);
  give_document(document, out.data);
  free(out.data);
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsGetServiceProperties(PCWSTR propertyQuery, PWSTR *result) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsGetServiceProperties(%s)", propertyQuery);
  HRESULT status = RESULT_OK;
  if (result != NULL) *result = NULL;
  if (result == NULL) status = INVALID_ARGUMENT_;
  else if (!troubled("HcsGetServiceProperties", NULL, &status, result)) {
    Json *query = propertyQuery == NULL || *propertyQuery == 0 ? NULL : json_read(propertyQuery, NULL);
    static const char basic[] = "{\"SupportedSchemaVersions\":[{\"Major\":1,\"Minor\":0},{\"Major\":2,\"Minor\":6}]}";
    if (query == NULL && propertyQuery != NULL && *propertyQuery != 0) {
      status = fail_with(result, INVALID_JSON_, "The query is no JSON document.");
    } else {
      const Json *types = json_member(query, "PropertyTypes");
      const Json *queries = json_member(query, "PropertyQueries");
      Wide out = { 0 };
      wide_ascii(&out, "{\"Properties\":[");
      if (json_count(types) == 0 && json_count(queries) == 0) wide_ascii(&out, basic);
      for (const Json *type = types == NULL ? NULL : types->first; type != NULL; type = type->next) {
        if (json_is(type, "Basic")) wide_ascii(&out, basic);
        else status = INVALID_ARGUMENT_;
        if (type->next != NULL) wide_ascii(&out, ",");
      }
      wide_ascii(&out, "]");
      if (json_count(queries) > 0) wide_ascii(&out, ",\"PropertyResponses\":{");
      for (const Json *item = queries == NULL ? NULL : queries->first; item != NULL; item = item->next) {
        wide_json(&out, item->name);
        wide_ascii(&out, ":{\"Response\":");
        wide_ascii(&out, basic);
        wide_ascii(&out, item->next == NULL ? "}}" : "},");
      }
      wide_ascii(&out, "}");
      if (status == RESULT_OK) give_document(result, out.data);
      else fail_with(result, status, "A property type is unknown.");
      free(out.data);
    }
    json_free(query);
  }
  RecorderEnd(line, (uint32_t)status, "%s", result == NULL ? NULL : (const wchar_t *)*result);
  return status;
}

STAND_IN_EXPORT HRESULT WINAPI HcsModifyServiceSettings(PCWSTR settings, PWSTR *result) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsModifyServiceSettings(%s)", settings);
  HRESULT status = RESULT_OK;
  if (result != NULL) *result = NULL;
  if (!troubled("HcsModifyServiceSettings", NULL, &status, result)) {
    Json *request = settings == NULL ? NULL : json_read(settings, NULL);
    const Json *type = json_member(request, "PropertyType");
    if (request == NULL) status = fail_with(result, INVALID_JSON_, "The settings are no JSON document.");
    else if (!json_is(type, "CpuGroup") && !json_is(type, "ContainerCredentialGuard")) {
      status = fail_with(result, INVALID_ARGUMENT_, "PropertyType is unknown.");
    }
    json_free(request);
  }
  RecorderEnd(line, (uint32_t)status, "%s", result == NULL ? NULL : (const wchar_t *)*result);
  return status;
}

STAND_IN_EXPORT HRESULT WINAPI HcsSubmitWerReport(PCWSTR settings) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsSubmitWerReport(%s)", settings);
  HRESULT status = RESULT_OK;
  if (!troubled("HcsSubmitWerReport", NULL, &status, NULL)) {
    Json *report = settings == NULL ? NULL : json_read(settings, NULL);
    if (report == NULL || report->kind != JSON_OBJECT) status = INVALID_JSON_;
    json_free(report);
  }
  RecorderEnd(line, (uint32_t)status, NULL);
  return status;
}

/* A call with a path, whose effect on the disk nobody looks at. */
static HRESULT path_call(const char *name, PCWSTR path) {
  uint64_t line = RecorderBegin(NULL, 0, "%a(%s)", name, path);
  HRESULT status = path == NULL || *path == 0 ? INVALID_ARGUMENT_ : RESULT_OK;
  if (status == RESULT_OK) troubled(name, NULL, &status, NULL);
  RecorderEnd(line, (uint32_t)status, NULL);
  return status;
}

STAND_IN_EXPORT HRESULT WINAPI HcsCreateEmptyGuestStateFile(PCWSTR guestStateFilePath) {
  return path_call("HcsCreateEmptyGuestStateFile", guestStateFilePath);
}

STAND_IN_EXPORT HRESULT WINAPI HcsCreateEmptyRuntimeStateFile(PCWSTR runtimeStateFilePath) {
  return path_call("HcsCreateEmptyRuntimeStateFile", runtimeStateFilePath);
}

STAND_IN_EXPORT HRESULT WINAPI HcsGrantVmGroupAccess(PCWSTR filePath) {
  return path_call("HcsGrantVmGroupAccess", filePath);
}

STAND_IN_EXPORT HRESULT WINAPI HcsRevokeVmGroupAccess(PCWSTR filePath) {
  return path_call("HcsRevokeVmGroupAccess", filePath);
}

STAND_IN_EXPORT HRESULT WINAPI HcsGetProcessorCompatibilityFromSavedState(PCWSTR RuntimeFileName,
                                                                          PCWSTR *ProcessorFeaturesString) {
  const char *name = "HcsGetProcessorCompatibilityFromSavedState";
  PWSTR document = NULL;
  uint64_t line = RecorderBegin(NULL, 0, "HcsGetProcessorCompatibilityFromSavedState(%s)", RuntimeFileName);
  HRESULT status = RuntimeFileName == NULL ? INVALID_ARGUMENT_ : RESULT_OK;
  if (status == RESULT_OK && !troubled(name, NULL, &status, NULL)) {
    give_document(&document, L"{\"ProcessorFeatures\":[\"Sse3\",\"Cmpxchg16b\"],\"CacheLineFlushSize\":64}");
  }
  RecorderEnd(line, (uint32_t)status, "%s", (const wchar_t *)document);
  if (ProcessorFeaturesString != NULL) *ProcessorFeaturesString = document;
  return status;
}

static HRESULT access_call(const char *name, PCWSTR vmId, PCWSTR filePath) {
  uint64_t line = RecorderBegin(vmId, 0, "%a(%s, %s)", name, vmId, filePath);
  HRESULT status = vmId == NULL || filePath == NULL || *filePath == 0 ? INVALID_ARGUMENT_ : RESULT_OK;
  if (status == RESULT_OK) troubled(name, vmId, &status, NULL);
  RecorderEnd(line, (uint32_t)status, NULL);
  return status;
}

STAND_IN_EXPORT HRESULT WINAPI HcsGrantVmAccess(PCWSTR vmId, PCWSTR filePath) {
  return access_call("HcsGrantVmAccess", vmId, filePath);
}

STAND_IN_EXPORT HRESULT WINAPI HcsRevokeVmAccess(PCWSTR vmId, PCWSTR filePath) {
  return access_call("HcsRevokeVmAccess", vmId, filePath);
}
