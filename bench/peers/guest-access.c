/*
 * What a program in a guest pays for accesses of devices. Runs in the guest, as root.
 *
 *   guest-access ROUNDS SUBJECT...     SUBJECT: BDF/BAR/READ/WRITE/KIND
 *
 * READ and WRITE are offsets of 4-byte registers, in hexadecimal. KIND: r for a register, each access of which is timed;
 * m for mapped memory, of which 1000 accesses are. After a round to warm up, each round asks every subject, in turns,
 * and prints for each: its number, median and 99th percentile of a read in ns, and ns of a write of a burst that is
 * waited for by a read that is not timed. The registers of all devices must be enabled.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { READS = 1000, BURST = 64, BURSTS = 30, MANY = 1000, BATCHES = 50, SUBJECTS = 16 };

static struct subject {
  volatile uint32_t *read, *write;
  int mapped;
} subjects[SUBJECTS];

static double ns_per_tick;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void calibrate(void) {
  int64_t started = now(), ended;
  uint64_t ticks = __rdtsc();
  while ((ended = now()) - started < 100000000) continue;
  ns_per_tick = (double)(ended - started) / (double)(__rdtsc() - ticks);
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

static double at(uint64_t *ticks, int count, double share, int accesses) {
  qsort(ticks, (size_t)count, sizeof *ticks, compare);
  return (double)ticks[(int)(share * (count - 1))] * ns_per_tick / accesses;
}

static void open_subject(struct subject *subject, const char *text) {
  char bdf[32], kind, path[128];
  unsigned bar, read, write;
  if (sscanf(text, "%31[^/]/%u/%x/%x/%c", bdf, &bar, &read, &write, &kind) != 5) exit(2);
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource%u", bdf, bar);
  int fd = open(path, O_RDWR | O_SYNC);
  struct stat about;
  if (fd < 0 || fstat(fd, &about) != 0) {
    perror(path);
    exit(1);
  }
  char *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) {
    perror(path);
    exit(1);
  }
  subject->read = (volatile uint32_t *)(bytes + read);
  subject->write = (volatile uint32_t *)(bytes + write);
  subject->mapped = kind == 'm';
}

static void measure(int index, int counts) {
  static uint64_t ticks[READS];
  const struct subject *subject = &subjects[index];
  int samples = subject->mapped ? BATCHES : READS, each = subject->mapped ? MANY : 1;
  for (int i = 0; i < samples; i++) {
    uint64_t started = __rdtsc();
    for (int access = 0; access < each; access++) (void)*subject->read;
    ticks[i] = __rdtsc() - started;
  }
  double p50 = at(ticks, samples, 0.5, each), p99 = at(ticks, samples, 0.99, each);
  int burst = subject->mapped ? MANY : BURST;
  for (int i = 0; i < BURSTS; i++) {
    uint64_t started = __rdtsc();
    for (int access = 0; access < burst; access++) *subject->write = (uint32_t)access;
    ticks[i] = __rdtsc() - started;
    (void)*subject->read;
  }
  if (counts) printf("%d %.2f %.2f %.2f\n", index, p50, p99, at(ticks, BURSTS, 0.5, burst));
}

int main(int argc, char **argv) {
  int rounds = argc > 2 ? atoi(argv[1]) : 0, count = argc - 2;
  if (rounds < 1 || count > SUBJECTS) return 2;
  for (int i = 0; i < count; i++) open_subject(&subjects[i], argv[i + 2]);
  calibrate();
  for (int round = -1; round < rounds; round++) {
    for (int i = 0; i < count; i++) measure(round % 2 ? count - 1 - i : i, round >= 0);
    fflush(stdout);
  }
  return 0;
}
