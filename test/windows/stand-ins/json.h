/* JSON in UTF-16, strictly by RFC 8259: read into a tree, and written piece by piece. */
#ifndef STAND_IN_JSON_H
#define STAND_IN_JSON_H

#include <stddef.h>
#include <stdint.h>

typedef enum JsonKind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonKind;

/* A value; the members of an object and the elements of an array hang on `first`, in order. */
typedef struct Json {
  JsonKind kind;
  wchar_t *name;
  wchar_t *text;
  double number;
  struct Json *first;
  struct Json *next;
} Json;

/* NULL when the text is no JSON document; then `*position` is the index of the first unit that cannot stand there. */
Json *json_read(const wchar_t *text, size_t *position);
void json_free(Json *value);

/* The member of an object, or NULL: also when `value` is NULL or no object. Names are compared exactly. */
const Json *json_member(const Json *value, const char *name);
/* A member of members: "VirtualMachine.Devices.FlexibleIov". */
const Json *json_path(const Json *value, const char *path);
/* The text of a string member, or NULL. */
const wchar_t *json_text(const Json *value, const char *name);
int json_is_true(const Json *value);
size_t json_count(const Json *value);
/* Whether a string value is this ASCII text. */
int json_is(const Json *value, const char *text);

/* Text that grows. */
typedef struct Wide {
  wchar_t *data;
  size_t length;
  size_t capacity;
} Wide;

void wide_ascii(Wide *out, const char *text);
void wide_text(Wide *out, const wchar_t *text);
/* With quotes and escapes; null for NULL. */
void wide_json(Wide *out, const wchar_t *text);
void wide_number(Wide *out, int64_t value);

#endif
