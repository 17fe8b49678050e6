/*
 * Uses the stand-ins from several threads at once, to be run under a sanitizer: lives of systems, operations with
 * callbacks and waits, events while handles close, processes, and result documents. Ends with 0 when all went well.
 */
#include "platform.h"
#include "hcs-abi.h"
#include "system-abi.h"

#include <stdio.h>

#define THREADS 4
#define LIVES 40

extern uint32_t StandInRaiseEvent(PCWSTR id, uint32_t type, PCWSTR data);
extern uint32_t StandInLiveBlocks(void);
extern uint32_t StandInOpenHandles(PCWSTR kind, PCWSTR id);

static int32_t failures;
static int32_t done;
static int32_t events;

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                   \
      __atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);                       \
    }                                                                           \
  } while (0)

static void completed(HCS_OPERATION operation, void *context) {
  PWSTR document = NULL;
  CHECK(HcsGetOperationResult(operation, &document) == 0);
  if (document != NULL) LocalFree(document);
  HcsCloseOperation(operation);
  SetEvent(context);
}

static void told(HCS_EVENT *event, void *context) {
  (void)context;
  __atomic_add_fetch(&events, event->EventData == NULL ? 0 : 1, __ATOMIC_SEQ_CST);
}

static HRESULT waited(HCS_OPERATION operation) {
  PWSTR document = NULL;
  HRESULT result = HcsWaitForOperationResult(operation, INFINITE, &document);
  if (document != NULL) LocalFree(document);
  return result;
}

static void live_once(const wchar_t *id) {
  HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
  HCS_SYSTEM system = NULL, second = NULL;
  HCS_PROCESS process = NULL;
  HANDLE completion = CreateEventW(NULL, FALSE, FALSE, NULL);
  CHECK(HcsCreateComputeSystem(id, L"{\"VirtualMachine\":{\"GuestConnection\":{}}}", operation, NULL, &system) == 0);
  CHECK(waited(operation) == 0);
  CHECK(HcsSetComputeSystemCallback(system, HcsEventOptionNone, NULL, told) == 0);
  CHECK(HcsOpenComputeSystem(id, GENERIC_ALL, &second) == 0);
  CHECK(HcsStartComputeSystem(system, operation, NULL) == 0);
  CHECK(waited(operation) == 0);
  for (int i = 0; i < 4; i++) StandInRaiseEvent(id, 4, L"{}");
  CHECK(HcsGetComputeSystemProperties(second, HcsCreateOperation(completion, completed), NULL) == 0);
  CHECK(WaitForSingleObject(completion, INFINITE) == 0);
  CHECK(HcsCreateProcess(system, L"{\"CommandLine\":\"sleep\"}", operation, NULL, &process) == 0);
  CHECK(waited(operation) == 0);
  HcsCloseComputeSystem(second);
  CHECK(HcsTerminateComputeSystem(system, operation, NULL) == 0);
  StandInRaiseEvent(id, 4, L"{}");
  CHECK(waited(operation) == 0);
  PWSTR status = NULL;
  CHECK(HcsWaitForProcessExit(process, INFINITE, &status) == 0);
  LocalFree(status);
  CHECK(HcsWaitForComputeSystemExit(system, INFINITE, &status) == 0);
  LocalFree(status);
  HcsCloseProcess(process);
  HcsCloseComputeSystem(system);
  HcsCloseOperation(operation);
  CloseHandle(completion);
}

static void live(void *argument) {
  wchar_t id[] = L"system of thread 0";
  id[wide_length(id) - 1] = (wchar_t)(L'0' + (intptr_t)argument);
  for (int i = 0; i < LIVES; i++) live_once(id);
  __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
}

int main(void) {
  for (intptr_t i = 0; i < THREADS; i++) CHECK(start_thread(live, (void *)i));
  while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) < THREADS) sleep_ms(5);
  CHECK(StandInLiveBlocks() == 0);
  CHECK(StandInOpenHandles(NULL, NULL) == 0);
  CHECK(__atomic_load_n(&events, __ATOMIC_SEQ_CST) > 0);
  printf("%d lives, %d events\n", THREADS * LIVES, events);
  return failures == 0 ? 0 : 1;
}
