/*
 * What the double of computecore tells the double of vmdevicehost: all calls go this way, none the other. The double of
 * computecore opens the other library beside itself (same folder) and looks these functions up by name; where the file
 * is not there, systems have no devices.
 *
 * The types HRESULT, BOOL, UINT32 and UINT64 come from the generated header or <windows.h>, whichever was included
 * before. All strings are UTF-16. Every function may be called from any thread; those that call devices block until the
 * devices have answered.
 */
#ifndef STAND_IN_LINKS_H
#define STAND_IN_LINKS_H

#include <stdint.h>

/* UTF-16 on every platform: compiled with -fshort-wchar. */
typedef const wchar_t *StandInString;

/* HcsCreateComputeSystem: a machine with this much memory exists, and is not running. */
#define STAND_IN_CREATE_SYSTEM "StandInCreateSystem"
typedef HRESULT (*StandInCreateSystemFunction)(StandInString systemId, UINT64 memoryInMB);

/*
 * A handle that HcsCreateComputeSystem or HcsOpenComputeSystem gave out; HdvInitializeDeviceHost takes it. It is a handle
 * of kind "system" of the recorder whose subject is the system's id; to tell it here changes nothing.
 */
#define STAND_IN_OPEN_HANDLE "StandInOpenSystemHandle"
typedef HRESULT (*StandInOpenHandleFunction)(void *computeSystem, StandInString systemId);

/* HcsCloseComputeSystem. A device host that still lives on the handle makes a MISUSE line. */
#define STAND_IN_CLOSE_HANDLE "StandInCloseSystemHandle"
typedef void (*StandInCloseHandleFunction)(void *computeSystem);

/*
 * An entry of FlexibleIov, from the create document or from a modify request. Before the start it is only noted (S_OK);
 * in a running system the device is brought up, and the result is that of its callbacks, or 0x8000FFFF when no device
 * host has such an instance, or 0xC0350005 for a second custom class on a restricted host.
 */
#define STAND_IN_ATTACH_DEVICE "StandInAttachDevice"
typedef HRESULT (*StandInAttachDeviceFunction)(StandInString systemId, StandInString instanceId,
                                               StandInString emulatorId, StandInString hostingModel,
                                               const StandInString *configuration, UINT32 count);

/* Takes one device out: Stop, Teardown. For a service that accepts the removal of a FlexibleIov entry. */
#define STAND_IN_DETACH_DEVICE "StandInDetachDevice"
typedef HRESULT (*StandInDetachDeviceFunction)(StandInString systemId, StandInString instanceId);

/*
 * HcsStartComputeSystem: brings up every noted device. On failure the devices are stopped and torn down again, and
 * `failedInstance` (room for 37 characters, or NULL) names the device for the ResultError document.
 */
#define STAND_IN_START_SYSTEM "StandInStartSystem"
typedef HRESULT (*StandInStartSystemFunction)(StandInString systemId, wchar_t *failedInstance);

/* HcsPauseComputeSystem: Stop of every device. HcsResumeComputeSystem: Start of every device. */
#define STAND_IN_PAUSE_SYSTEM "StandInPauseSystem"
#define STAND_IN_RESUME_SYSTEM "StandInResumeSystem"
typedef HRESULT (*StandInPauseSystemFunction)(StandInString systemId);

/* The system has ended, whichever way: Stop and Teardown of every device. The machine is gone afterwards. */
#define STAND_IN_DETACH_SYSTEM "StandInDetachSystem"
typedef HRESULT (*StandInDetachSystemFunction)(StandInString systemId);

#endif
