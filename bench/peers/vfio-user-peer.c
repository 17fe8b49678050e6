/*
 * The smallest vfio-user server that a VMM and a client can use: what C can do, to compare with.
 *
 *   vfio-user-peer SOCKET [DEVICE_ID]
 *
 * Listens on SOCKET, prints "listening", and serves one client after the other, until it is ended. The device, 1234:11e9
 * unless told otherwise, has 4 KiB of plain registers in BAR 0. A message costs one recvmsg or a share of one, and one
 * send if it has an answer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
  VERSION = 1, DMA_MAP, DMA_UNMAP, GET_INFO, REGION_INFO, IO_FDS, IRQ_INFO, SET_IRQS, READ, WRITE,
  RESET = 13, WRITE_MULTI = 15
};
enum { REPLY = 1, NO_REPLY = 0x10, FAILED = 0x20, HEADER = 16, LONGEST = 1 << 20 };

struct header { uint16_t id, command; uint32_t size, flags, error; };
struct access { uint64_t offset; uint32_t region, count; };
struct region_info { uint32_t argsz, flags, index, cap_offset; uint64_t size, offset; };

static uint8_t in[LONGEST + 65536], out[LONGEST + 65536];
static uint8_t bar[4096], config[256];

static void reset(uint16_t device) {
  static const uint8_t class_code[] = {0x01, 0x00, 0xff, 0x00};
  memset(bar, 0, sizeof bar);
  memset(config, 0, sizeof config);
  memcpy(bar, (uint32_t[]){0x010000ed}, 4);
  memcpy(config, (uint16_t[]){0x1234, device}, 4);
  memcpy(config + 8, class_code, 4);
}

static uint64_t region_size(uint32_t region) {
  return region == 0 ? sizeof bar : region == 7 ? sizeof config : 0;
}

/* Where an access lands; NULL where it does not fit its region. */
static uint8_t *at(const struct access *access) {
  uint64_t size = region_size(access->region);
  if (access->offset > size || access->count > size - access->offset) return NULL;
  return (access->region == 0 ? bar : config) + access->offset;
}

static void put(const struct access *access, const uint8_t *data) {
  uint8_t *to = at(access);
  if (to == NULL) return;
  /* A BAR keeps no bits below its size, so that its size can be read. */
  uint32_t address;
  if (access->region == 7 && access->offset == 0x10 && access->count == 4) {
    memcpy(&address, data, 4);
    address &= ~(uint32_t)(sizeof bar - 1);
    memcpy(to, &address, 4);
  } else if (access->region == 0 || (access->offset >= 4 && access->offset < 8) || access->offset == 0x3c) {
    memcpy(to, data, access->count);
  }
}

/* Serves the message at `in + from`. Returns the length of the answer's payload, or the negative errno. */
static int serve(uint16_t device, const struct header *header, const uint8_t *payload, uint32_t length) {
  static const char json[] =
    "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,\"pgsizes\":4096,"
    "\"max_dma_maps\":65535,\"write_multiple\":true}}";
  uint8_t *answer = out + HEADER;
  uint32_t words[4] = {16, 0, 0, 0};
  struct access access;
  switch (header->command) {
    case VERSION:
      if (length < 4) return -EINVAL;
      memcpy(answer, payload, 4);
      memcpy(answer + 4, json, sizeof json);
      return 4 + sizeof json;
    case DMA_MAP: case SET_IRQS: return 0;
    case DMA_UNMAP:
      if (length < 24) return -EINVAL;
      memcpy(answer, payload, 24);
      return 24;
    case RESET: reset(device); return 0;
    case GET_INFO:
      memcpy(answer, (uint32_t[]){16, 3, 9, 5}, 16);
      return 16;
    case REGION_INFO: {
      if (length < 32) return -EINVAL;
      struct region_info info = {.argsz = 32};
      memcpy(&info.index, payload + 8, 4);
      if (info.index > 8) return -EINVAL;
      info.size = region_size(info.index);
      info.flags = info.size ? 3 : 0;
      memcpy(answer, &info, 32);
      return 32;
    }
    case IRQ_INFO:
      if (length < 16) return -EINVAL;
      memcpy(words + 2, payload + 8, 4);
      memcpy(answer, words, 16);
      return 16;
    case READ: {
      if (length < 16) return -EINVAL;
      memcpy(&access, payload, 16);
      const uint8_t *from = at(&access);
      if (from == NULL) return -EINVAL;
      memcpy(answer, &access, 16);
      memcpy(answer + 16, from, access.count);
      return (int)(16 + access.count);
    }
    case WRITE:
      if (length < 16) return -EINVAL;
      memcpy(&access, payload, 16);
      if (at(&access) == NULL || access.count > length - 16) return -EINVAL;
      put(&access, payload + 16);
      memcpy(answer, &access, 16);
      return 16;
    case WRITE_MULTI: {
      uint64_t count;
      if (length < 8) return -EINVAL;
      memcpy(&count, payload, 8);
      if (count > (length - 8) / 24) return -EINVAL;
      for (uint64_t i = 0; i < count; i++) {
        memcpy(&access, payload + 8 + 24 * i, 16);
        if (access.count <= 8) put(&access, payload + 24 + 24 * i);
      }
      memcpy(answer, &count, 8);
      return 8;
    }
    default: return -EINVAL;
  }
}

/* Returns 0 when the client is gone. */
static int answer(int fd, const struct header *header, int length) {
  struct header reply = {header->id, header->command, HEADER, REPLY, 0};
  if (length < 0) { reply.flags |= FAILED; reply.error = (uint32_t)-length; }
  else reply.size += (uint32_t)length;
  memcpy(out, &reply, HEADER);
  for (uint32_t done = 0; done < reply.size;) {
    ssize_t sent = send(fd, out + done, reply.size - done, MSG_NOSIGNAL);
    if (sent <= 0) return 0;
    done += (uint32_t)sent;
  }
  return 1;
}

static void converse(int fd, uint16_t device) {
  union { struct cmsghdr header; char bytes[CMSG_SPACE(16 * sizeof(int))]; } control;
  for (size_t have = 0;;) {
    struct iovec iov = {in + have, sizeof in - have};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (received <= 0) return;
    have += (size_t)received;
    for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each))
      for (size_t i = 0; each->cmsg_type == SCM_RIGHTS && CMSG_LEN((i + 1) * sizeof(int)) <= each->cmsg_len; i++)
        close(((int *)CMSG_DATA(each))[i]);
    size_t from = 0;
    while (have - from >= HEADER) {
      struct header header;
      memcpy(&header, in + from, HEADER);
      if (header.size < HEADER || header.size > LONGEST + 4096) return;
      if (have - from < header.size) break;
      int length = serve(device, &header, in + from + HEADER, header.size - HEADER);
      if (!(header.flags & NO_REPLY) && !answer(fd, &header, length)) return;
      from += header.size;
    }
    have -= from;
    if (from > 0 && have > 0) memmove(in, in + from, have);
  }
}

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc < 2 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  uint16_t device = argc > 2 ? (uint16_t)strtoul(argv[2], NULL, 16) : 0x11e9;
  strcpy(address.sun_path, argv[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4) != 0) {
    perror(argv[1]);
    return 1;
  }
  puts("listening");
  fflush(stdout);
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0; close(fd)) {
    reset(device);
    converse(fd, device);
  }
  return 1;
}
