#include "json.h"
#include "platform.h"

#include <stdio.h>

/* Deeper documents are refused, as they would exhaust the stack. */
#define DEEPEST 200

typedef struct Reader {
  const wchar_t *at;
  int depth;
} Reader;

static Json *read_value(Reader *reader);

static void skip_space(Reader *reader) {
  while (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r') reader->at++;
}

static int take(Reader *reader, const char *word) {
  const wchar_t *at = reader->at;
  while (*word != 0 && *at == (wchar_t)*word) at++, word++;
  if (*word != 0) return 0;
  reader->at = at;
  return 1;
}

static int hex_digit(wchar_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* The units of a string after its opening quote; NULL when it is malformed. */
static wchar_t *read_string(Reader *reader) {
  Wide out = { 0 };
  wide_ascii(&out, "");
  for (;;) {
    wchar_t unit[2] = { *reader->at, 0 };
    if (unit[0] == '"') {
      reader->at++;
      return out.data;
    }
    if (unit[0] < 0x20) break;
    reader->at++;
    if (unit[0] == '\\') {
      static const char names[] = "\"\\/bfnrt";
      static const char meanings[] = "\"\\/\b\f\n\r\t";
      const char *name = *reader->at < 0x80 && *reader->at > 0 ? strchr(names, (char)*reader->at) : NULL;
      if (*reader->at == 'u') {
        int value = 0;
        reader->at++;
        for (int i = 0; i < 4; i++) {
          int digit = hex_digit(*reader->at);
          if (digit < 0) goto malformed;
          value = value << 4 | digit;
          reader->at++;
        }
        /* A NUL would end the string for everybody who reads it. */
        if (value == 0) goto malformed;
        unit[0] = (wchar_t)value;
      } else if (name != NULL) {
        unit[0] = (wchar_t)meanings[name - names];
        reader->at++;
      } else break;
    }
    wide_text(&out, unit);
  }
malformed:
  free(out.data);
  return NULL;
}

static int read_number(Reader *reader, double *number) {
  char text[64];
  size_t length = 0;
  const wchar_t *start = reader->at;
#define DIGIT(c) ((c) >= '0' && (c) <= '9')
  if (*reader->at == '-') reader->at++;
  if (!DIGIT(*reader->at)) return 0;
  if (*reader->at == '0') reader->at++;
  else while (DIGIT(*reader->at)) reader->at++;
  if (*reader->at == '.') {
    reader->at++;
    if (!DIGIT(*reader->at)) return 0;
    while (DIGIT(*reader->at)) reader->at++;
  }
  if (*reader->at == 'e' || *reader->at == 'E') {
    reader->at++;
    if (*reader->at == '+' || *reader->at == '-') reader->at++;
    if (!DIGIT(*reader->at)) return 0;
    while (DIGIT(*reader->at)) reader->at++;
  }
#undef DIGIT
  while (start < reader->at && length + 1 < sizeof text) text[length++] = (char)*start++;
  text[length] = 0;
  *number = strtod(text, NULL);
  return 1;
}

/* Members or elements up to the closing bracket. */
static int read_items(Reader *reader, Json *parent) {
  int is_object = parent->kind == JSON_OBJECT;
  char closing = is_object ? '}' : ']';
  Json **end = &parent->first;
  skip_space(reader);
  if (*reader->at == (wchar_t)closing) {
    reader->at++;
    return 1;
  }
  for (;;) {
    wchar_t *name = NULL;
    skip_space(reader);
    if (is_object) {
      if (*reader->at != '"') return 0;
      reader->at++;
      name = read_string(reader);
      if (name == NULL) return 0;
      skip_space(reader);
      if (*reader->at != ':') {
        free(name);
        return 0;
      }
      reader->at++;
    }
    Json *item = read_value(reader);
    if (item == NULL) {
      free(name);
      return 0;
    }
    item->name = name;
    *end = item;
    end = &item->next;
    skip_space(reader);
    if (*reader->at == (wchar_t)closing) {
      reader->at++;
      return 1;
    }
    if (*reader->at != ',') return 0;
    reader->at++;
  }
}

static Json *read_value(Reader *reader) {
  Json *value = calloc(1, sizeof *value);
  int good = 0;
  skip_space(reader);
  if (++reader->depth > DEEPEST) good = 0;
  else if (take(reader, "null")) good = 1;
  else if (take(reader, "true")) value->kind = JSON_TRUE, good = 1;
  else if (take(reader, "false")) value->kind = JSON_FALSE, good = 1;
  else if (*reader->at == '"') {
    reader->at++;
    value->kind = JSON_STRING;
    value->text = read_string(reader);
    good = value->text != NULL;
  } else if (*reader->at == '{' || *reader->at == '[') {
    value->kind = *reader->at == '{' ? JSON_OBJECT : JSON_ARRAY;
    reader->at++;
    good = read_items(reader, value);
  } else {
    value->kind = JSON_NUMBER;
    good = read_number(reader, &value->number);
  }
  reader->depth--;
  if (good) return value;
  json_free(value);
  return NULL;
}

Json *json_read(const wchar_t *text, size_t *position) {
  Reader reader = { text, 0 };
  Json *value = read_value(&reader);
  skip_space(&reader);
  if (position != NULL) *position = (size_t)(reader.at - text);
  if (value != NULL && *reader.at != 0) {
    json_free(value);
    return NULL;
  }
  return value;
}

void json_free(Json *value) {
  while (value != NULL) {
    Json *next = value->next;
    json_free(value->first);
    free(value->name);
    free(value->text);
    free(value);
    value = next;
  }
}

static int is_ascii(const wchar_t *text, const char *ascii, size_t length) {
  size_t i = 0;
  while (i < length && text[i] == (wchar_t)ascii[i]) i++;
  return i == length && text[i] == 0;
}

static const Json *member(const Json *value, const char *name, size_t length) {
  if (value == NULL || value->kind != JSON_OBJECT) return NULL;
  for (const Json *item = value->first; item != NULL; item = item->next) {
    if (is_ascii(item->name, name, length)) return item->kind == JSON_NULL ? NULL : item;
  }
  return NULL;
}

const Json *json_member(const Json *value, const char *name) { return member(value, name, strlen(name)); }

const Json *json_path(const Json *value, const char *path) {
  while (value != NULL) {
    const char *dot = strchr(path, '.');
    if (dot == NULL) return json_member(value, path);
    value = member(value, path, (size_t)(dot - path));
    path = dot + 1;
  }
  return NULL;
}

const wchar_t *json_text(const Json *value, const char *name) {
  const Json *item = json_member(value, name);
  return item != NULL && item->kind == JSON_STRING ? item->text : NULL;
}

int json_is_true(const Json *value) { return value != NULL && value->kind == JSON_TRUE; }

size_t json_count(const Json *value) {
  size_t count = 0;
  if (value == NULL) return 0;
  for (const Json *item = value->first; item != NULL; item = item->next) count++;
  return count;
}

int json_is(const Json *value, const char *text) {
  return value != NULL && value->kind == JSON_STRING && is_ascii(value->text, text, strlen(text));
}

static void wide_unit(Wide *out, wchar_t unit) {
  if (out->length + 2 > out->capacity) {
    out->capacity = out->capacity == 0 ? 64 : out->capacity * 2;
    out->data = realloc(out->data, out->capacity * sizeof(wchar_t));
  }
  out->data[out->length++] = unit;
  out->data[out->length] = 0;
}

void wide_ascii(Wide *out, const char *text) {
  if (out->data == NULL) {
    wide_unit(out, 0);
    out->length = 0;
  }
  for (; *text != 0; text++) wide_unit(out, (wchar_t)(unsigned char)*text);
}

void wide_text(Wide *out, const wchar_t *text) {
  for (; *text != 0; text++) wide_unit(out, *text);
}

void wide_json(Wide *out, const wchar_t *text) {
  if (text == NULL) {
    wide_ascii(out, "null");
    return;
  }
  wide_ascii(out, "\"");
  for (; *text != 0; text++) {
    if (*text == '"' || *text == '\\') wide_ascii(out, "\\");
    if (*text < 0x20) {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*text);
      wide_ascii(out, escape);
    } else wide_unit(out, *text);
  }
  wide_ascii(out, "\"");
}

void wide_number(Wide *out, int64_t value) {
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", (long long)value);
  wide_ascii(out, digits);
}
