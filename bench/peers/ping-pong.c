/*
 * What two threads in C wait for each other's answer through shared memory.
 *
 *   ping-pong spin|half|futex BATCHES TRIPS PAUSE_NS
 *
 * Prints the median over BATCHES of the nanoseconds per round trip, each batch being TRIPS round trips. Before each
 * batch the asking thread works for PAUSE_NS, in which the answering one goes to sleep if it is to. spin: both poll;
 * futex: both sleep; half: the answering thread sleeps, the asking one polls.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Each word on lines of its own, as in the slot. */
static struct {
  _Alignas(128) _Atomic uint32_t asked;
  _Alignas(128) _Atomic uint32_t answered;
} word;

static int asker_sleeps, answerer_sleeps;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void await_change(_Atomic uint32_t *at, uint32_t from, int sleep) {
  while (atomic_load(at) == from)
    if (sleep) syscall(SYS_futex, at, FUTEX_WAIT_PRIVATE, from, NULL, NULL, 0);
}

static void publish(_Atomic uint32_t *at, uint32_t value, int wake) {
  atomic_store(at, value);
  if (wake) syscall(SYS_futex, at, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Ends when it is asked for 0. */
static void *answer(void *unused) {
  (void)unused;
  for (uint32_t served = 0;;) {
    await_change(&word.asked, served, answerer_sleeps);
    served = atomic_load(&word.asked);
    publish(&word.answered, served, asker_sleeps);
    if (served == 0) return NULL;
  }
}

static void ask(uint32_t number) {
  uint32_t before = atomic_load(&word.answered);
  publish(&word.asked, number, answerer_sleeps);
  await_change(&word.answered, before, asker_sleeps);
}

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  asker_sleeps = strcmp(argv[1], "futex") == 0;
  answerer_sleeps = strcmp(argv[1], "spin") != 0;
  int batches = atoi(argv[2]), trips = atoi(argv[3]);
  int64_t pause_ns = atoll(argv[4]);
  double *times = calloc((size_t)batches, sizeof *times);
  pthread_t thread;
  if (times == NULL || pthread_create(&thread, NULL, answer, NULL) != 0) return 1;
  uint32_t number = 0;
  for (int batch = -batches / 10; batch < batches; batch++) {
    for (int64_t end = now() + pause_ns; pause_ns > 0 && now() < end;) continue;
    int64_t started = now();
    for (int i = 0; i < trips; i++) ask(++number);
    if (batch >= 0) times[batch] = (double)(now() - started) / trips;
  }
  ask(0);
  pthread_join(thread, NULL);
  qsort(times, (size_t)batches, sizeof *times, compare);
  printf("%.1f\n", times[batches / 2]);
  return 0;
}
