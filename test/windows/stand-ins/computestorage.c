/* The stand-in of computestorage: says what it was given, and touches no disk. */
#include "platform.h"
#include "hcs-abi.h"
#include "recorder.h"

#define INVALID_ARGUMENT_ ((HRESULT)(uint32_t)0x80070057)

/* Ends a call: `good` says whether what must be given was given. */
static HRESULT answer(uint64_t line, const char *name, int good) {
  uint32_t result = good ? 0 : (uint32_t)INVALID_ARGUMENT_;
  RecorderGate(name, NULL, STAND_IN_AT_CALL);
  if (good) RecorderFails(name, NULL, STAND_IN_AT_CALL, &result, NULL);
  RecorderEnd(line, result, NULL);
  return (HRESULT)result;
}

#define GIVEN(text) ((text) != NULL && *(text) != 0)
#define NUMBER(handle) ((uint64_t)(uintptr_t)(handle))

STAND_IN_EXPORT HRESULT WINAPI HcsImportLayer(PCWSTR layerPath, PCWSTR sourceFolderPath, PCWSTR layerData) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsImportLayer(%s, %s, %s)", layerPath, sourceFolderPath, layerData);
  return answer(line, "HcsImportLayer", GIVEN(layerPath) && GIVEN(sourceFolderPath) && GIVEN(layerData));
}

STAND_IN_EXPORT HRESULT WINAPI HcsExportLayer(PCWSTR layerPath, PCWSTR exportFolderPath, PCWSTR layerData,
                                              PCWSTR options) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsExportLayer(%s, %s, %s, %s)", layerPath, exportFolderPath, layerData,
                                options);
  return answer(line, "HcsExportLayer", GIVEN(layerPath) && GIVEN(exportFolderPath) && GIVEN(layerData));
}

STAND_IN_EXPORT HRESULT WINAPI HcsExportLegacyWritableLayer(PCWSTR writableLayerMountPath,
                                                            PCWSTR writableLayerFolderPath, PCWSTR exportFolderPath,
                                                            PCWSTR layerData) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsExportLegacyWritableLayer(%s, %s, %s, %s)", writableLayerMountPath,
                                writableLayerFolderPath, exportFolderPath, layerData);
  return answer(line, "HcsExportLegacyWritableLayer",
                GIVEN(writableLayerMountPath) && GIVEN(writableLayerFolderPath) && GIVEN(exportFolderPath));
}

STAND_IN_EXPORT HRESULT WINAPI HcsDestroyLayer(PCWSTR layerPath) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsDestroyLayer(%s)", layerPath);
  return answer(line, "HcsDestroyLayer", GIVEN(layerPath));
}

STAND_IN_EXPORT HRESULT WINAPI HcsSetupBaseOSLayer(PCWSTR layerPath, HANDLE vhdHandle, PCWSTR options) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsSetupBaseOSLayer(%s, %x, %s)", layerPath, NUMBER(vhdHandle), options);
  return answer(line, "HcsSetupBaseOSLayer", GIVEN(layerPath) && GIVEN(options));
}

STAND_IN_EXPORT HRESULT WINAPI HcsSetupBaseOSVolume(PCWSTR layerPath, PCWSTR volumePath, PCWSTR options) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsSetupBaseOSVolume(%s, %s, %s)", layerPath, volumePath, options);
  return answer(line, "HcsSetupBaseOSVolume", GIVEN(layerPath) && GIVEN(volumePath) && GIVEN(options));
}

STAND_IN_EXPORT HRESULT WINAPI HcsInitializeWritableLayer(PCWSTR writableLayerPath, PCWSTR layerData, PCWSTR options) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsInitializeWritableLayer(%s, %s, %s)", writableLayerPath, layerData,
                                options);
  return answer(line, "HcsInitializeWritableLayer", GIVEN(writableLayerPath) && GIVEN(layerData));
}

STAND_IN_EXPORT HRESULT WINAPI HcsInitializeLegacyWritableLayer(PCWSTR writableLayerMountPath,
                                                                PCWSTR writableLayerFolderPath, PCWSTR layerData,
                                                                PCWSTR options) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsInitializeLegacyWritableLayer(%s, %s, %s, %s)", writableLayerMountPath,
                                writableLayerFolderPath, layerData, options);
  return answer(line, "HcsInitializeLegacyWritableLayer",
                GIVEN(writableLayerMountPath) && GIVEN(writableLayerFolderPath) && GIVEN(layerData));
}

STAND_IN_EXPORT HRESULT WINAPI HcsAttachLayerStorageFilter(PCWSTR layerPath, PCWSTR layerData) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsAttachLayerStorageFilter(%s, %s)", layerPath, layerData);
  return answer(line, "HcsAttachLayerStorageFilter", GIVEN(layerPath) && GIVEN(layerData));
}

STAND_IN_EXPORT HRESULT WINAPI HcsDetachLayerStorageFilter(PCWSTR layerPath) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsDetachLayerStorageFilter(%s)", layerPath);
  return answer(line, "HcsDetachLayerStorageFilter", GIVEN(layerPath));
}

STAND_IN_EXPORT HRESULT WINAPI HcsFormatWritableLayerVhd(HANDLE vhdHandle) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsFormatWritableLayerVhd(%x)", NUMBER(vhdHandle));
  return answer(line, "HcsFormatWritableLayerVhd", vhdHandle != NULL);
}

STAND_IN_EXPORT HRESULT WINAPI HcsGetLayerVhdMountPath(HANDLE vhdHandle, PWSTR *mountPath) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsGetLayerVhdMountPath(%x)", NUMBER(vhdHandle));
  if (mountPath != NULL) *mountPath = NULL;
  HRESULT result = answer(line, "HcsGetLayerVhdMountPath", vhdHandle != NULL && mountPath != NULL);
  if (result == 0) *mountPath = RecorderDocument(L"\\\\?\\Volume{5d2f1e0c-7b3a-4c69-9d48-1f0e2a3b4c5d}");
  return result;
}

STAND_IN_EXPORT HRESULT WINAPI HcsAttachOverlayFilter(PCWSTR VolumeMountPoint, PCWSTR LayerData) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsAttachOverlayFilter(%s, %s)", VolumeMountPoint, LayerData);
  return answer(line, "HcsAttachOverlayFilter", GIVEN(VolumeMountPoint) && GIVEN(LayerData));
}

STAND_IN_EXPORT HRESULT WINAPI HcsDetachOverlayFilter(PCWSTR VolumeMountPoint, PCWSTR LayerData) {
  uint64_t line = RecorderBegin(NULL, 0, "HcsDetachOverlayFilter(%s, %s)", VolumeMountPoint, LayerData);
  return answer(line, "HcsDetachOverlayFilter", GIVEN(VolumeMountPoint) && GIVEN(LayerData));
}
