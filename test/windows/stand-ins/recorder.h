/*
 * What all stand-ins share: the transcript, handles, result documents, and the rules by which tests let calls fail,
 * wait or linger. It is a library of its own (stand-in-recorder), so that lines of several stand-ins stand in one order.
 * Strings are UTF-16 (wchar_t is 16 bits wide on both systems: -fshort-wchar).
 */
#ifndef STAND_IN_RECORDER_H
#define STAND_IN_RECORDER_H

#include <stddef.h>
#include <stdint.h>

#ifndef STAND_IN_RECORDER
#ifdef _WIN32
#define RECORDER_API __declspec(dllimport)
#else
#define RECORDER_API extern
#endif
#else
#define RECORDER_API STAND_IN_EXPORT
#endif

/*
 * Conversions of the formats below:
 *   %s  const wchar_t *       JSON text, or null
 *   %a  const char *          as it is
 *   %x  uint64_t              hexadecimal
 *   %d  uint32_t              hexadecimal
 *   %i  uint32_t              decimal
 *   %h  uint64_t              a handle by its number (below): its small name; 0 is null; what is no handle, in hexadecimal
 *   %p  const void *          "null" or "given"
 *   %g  const void *          a GUID
 *   %b  const void *, uint32_t  bytes in hexadecimal
 */

/*
 * Begins the line of a call. `subject` is the id of the compute system that it concerns, or NULL; `operation` the handle
 * of the operation that it concerns, or 0: it stands for the system that the operation is bound to.
 */
RECORDER_API uint64_t RecorderBegin(const wchar_t *subject, uint64_t operation, const char *format, ...);
/* Ends it with " = 0x…", and ", outputs" unless the format is NULL. */
RECORDER_API void RecorderEnd(uint64_t line, uint32_t hresult, const char *format, ...);
/* Ends the line of a call that returns no HRESULT: " = outputs", or nothing when the format is NULL. */
RECORDER_API void RecorderEndPlain(uint64_t line, const char *format, ...);
/* A whole line. Misuse is reported by lines that begin with "MISUSE ". */
RECORDER_API void RecorderNote(const wchar_t *subject, uint64_t operation, const char *format, ...);

/*
 * Handles are numbers that are never used again, above 32 bits, so that a stale one is always found out.
 * `kind` is a constant string: operation, system, process, host, device, aperture, …
 */
RECORDER_API uint64_t RecorderOpenHandle(const char *kind, const wchar_t *subject, void *object);
/* Says which system the handle concerns, once that is known. */
RECORDER_API void RecorderBindHandle(uint64_t handle, const wchar_t *subject);
/* Its object, or NULL when it is not an open handle of that kind; then `function` has misused it, which is reported. */
RECORDER_API void *RecorderHandle(const char *kind, uint64_t handle, const char *function);
/* Its object even when it is closed; NULL when it never was a handle of that kind. Reports nothing. */
RECORDER_API void *RecorderAnyHandle(const char *kind, uint64_t handle);
/* Closes it. Its object, or NULL when it is not open, which is reported. */
RECORDER_API void *RecorderCloseHandle(const char *kind, uint64_t handle, const char *function);
/* The system that it was bound to, or NULL. */
RECORDER_API const wchar_t *RecorderHandleSubject(uint64_t handle);

/* A copy of the text that LocalFree frees, counted until then. NULL for NULL. */
RECORDER_API wchar_t *RecorderDocument(const wchar_t *text);
/* What LocalFree does where there is none. 0 when it was no live block, which is reported. */
RECORDER_API int RecorderFreeBlock(void *block);

enum { STAND_IN_AT_CALL = 0, STAND_IN_AT_OPERATION = 1, STAND_IN_AT_RETURN = 2 };

/* Waits as long as tests hold or delay this function for this system. */
RECORDER_API void RecorderGate(const char *function, const wchar_t *subject, uint32_t at);
/*
 * Whether tests want it to fail now. The document, to be freed with free() by the caller through RecorderRelieve, is NULL
 * when there is none.
 */
RECORDER_API int RecorderFails(const char *function, const wchar_t *subject, uint32_t at, uint32_t *hresult, wchar_t **document);
RECORDER_API void RecorderRelieve(void *memory);

/* Runs work on a thread of a pool that has at least three, never on the caller's. */
RECORDER_API void RecorderRun(void (*work)(void *), void *argument);

#endif
