/*
 * Control agent of the test guest: what a driver could do to a device, done from user space on a stock kernel, and
 * commands run with their output and exit code. It talks over a serial port. One static program, run as root; what else
 * it is for is in vsock.c.
 *
 * A request is one line, "ID COMMAND WORDS", a reply one line, "ID = WORDS" or "ID ! REASON". ID is the client's
 * choice. Numbers are hexadecimal without prefix. Output of a command that runs comes in between as "ID + STREAM LENGTH"
 * and LENGTH bytes. The agent says "* hdvkit-agent 1" when it comes up.
 *
 *   hello                                   the greeting's words
 *   find VENDOR DEVICE                      addresses of such functions: 0000:01:00.0
 *   enable BDF                              memory decode and bus mastering on, as a driver's probe does
 *   bar BDF N                               size of a BAR, 0 if there is none
 *   read BDF BAR OFFSET WIDTH               WIDTH is 1, 2, 4 or 8 bytes
 *   write BDF BAR OFFSET WIDTH VALUE
 *   config-read BDF OFFSET WIDTH            WIDTH is 1, 2 or 4
 *   config-write BDF OFFSET WIDTH VALUE
 *   allocate LENGTH                         guest-physical address of zeroed, locked, contiguous memory
 *   memory-read GPA LENGTH                  bytes as hex
 *   memory-write GPA HEX
 *   irq-enable BDF KIND COUNT               KIND is msix, msi or intx; number of vectors that can come
 *   irq-disable BDF
 *   irq-take BDF                            vectors that came since the last call
 *   irq-wait BDF MS                         the same, when there is one or the time is over
 *   measure BDF BAR OFFSET WIDTH COUNT      COUNT reads: p50 p99 p99.9 min max total, ns; then POWER:COUNT for the
 *                                           reads that took from 2^POWER ns
 *   doorbell BDF BAR OFFSET WIDTH VALUE VECTOR COUNT   COUNT times from a write to its message: the same figures
 *   run COMMAND                             by /bin/sh; the reply is the exit code
 *   signal ID NUMBER                        to the command that request ID runs
 *   size ROWS COLUMNS TTY                   of a terminal
 *
 * Interrupts: a message-signalled interrupt is a write to memory (PCI 3.0, 6.8). The stock kernel lets nobody but a
 * driver receive one at a processor, so each vector's message is a doubleword of locked memory, where it is found.
 * A vector that comes twice before it is looked at is seen once, as at an interrupt controller. INTx goes through
 * the kernel's uio_pci_generic.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>
#include "vsock.h"

#define GREETING "hdvkit-agent 1"
#define LINE_LIMIT (256 * 1024)
#define HUGE_PAGE 0x200000ull
#define MAX_DEVICES 32
#define MAX_AREAS 64
#define MAX_JOBS 32
#define MAX_WAITS 32
#define MAX_INPUTS 4

static int serial = -1;

static void send_bytes(const char *data, size_t length)
{
	while (length > 0) {
		ssize_t sent = write(serial, data, length);
		if (sent < 0 && errno != EINTR && errno != EAGAIN)
			exit(1);
		if (sent > 0) {
			data += sent;
			length -= sent;
		}
	}
}

static void reply(const char *id, const char *format, ...)
{
	char text[1024];
	va_list values;
	va_start(values, format);
	int length = vsnprintf(text, sizeof text - 1, format, values);
	va_end(values);
	if (length > (int)sizeof text - 2)
		length = sizeof text - 2;
	text[length] = '\n';
	send_bytes(id, strlen(id));
	send_bytes(" ", 1);
	send_bytes(text, length + 1);
}

static void fail(const char *id, const char *what)
{
	reply(id, "! %s: %s", what, strerror(errno));
}

/* ---- sysfs ---- */

static int open_attribute(const char *bdf, const char *name, int flags)
{
	char path[256];
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", bdf, name);
	return open(path, flags | O_CLOEXEC);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t written = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return written < 0 ? -1 : 0;
}

static long read_hex(const char *bdf, const char *name)
{
	char text[32] = "";
	int fd = open_attribute(bdf, name, O_RDONLY);
	if (fd < 0)
		return -1;
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	return length <= 0 ? -1 : strtol(text, NULL, 16);
}

static int config_access(const char *bdf, unsigned offset, void *value, int width, int writing)
{
	int fd = open_attribute(bdf, "config", writing ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return -1;
	ssize_t done = writing ? pwrite(fd, value, width, offset) : pread(fd, value, width, offset);
	int error = done < 0 ? errno : EINVAL;
	close(fd);
	errno = error;
	return done == width ? 0 : -1;
}

static uint32_t config_read(const char *bdf, unsigned offset, int width)
{
	uint32_t value = 0;
	return config_access(bdf, offset, &value, width, 0) < 0 ? 0xffffffffu : value;
}

static int config_write(const char *bdf, unsigned offset, int width, uint32_t value)
{
	return config_access(bdf, offset, &value, width, 1);
}

/* Offset of a capability (PCI 3.0, 6.7), 0 if there is none. */
static unsigned find_capability(const char *bdf, unsigned id)
{
	if (!(config_read(bdf, 0x06, 2) & 0x10))
		return 0;
	unsigned offset = config_read(bdf, 0x34, 1) & 0xfc;
	for (int left = 48; left > 0 && offset >= 0x40; left--) {
		uint32_t head = config_read(bdf, offset, 2);
		if ((head & 0xff) == id)
			return offset;
		offset = (head >> 8) & 0xfc;
	}
	return 0;
}

/* ---- BARs ---- */

struct device {
	char bdf[32];
	ino_t node; /* of its folder in sysfs: another one after it was unplugged and something else plugged */
	void *bar[6];
	size_t size[6];
	char kind; /* 'x' MSI-X, 'm' MSI, 'i' INTx, 0 off */
	unsigned count;
	volatile uint32_t *slots;
	uint64_t slots_gpa;
	int uio;
};

static struct device devices[MAX_DEVICES];

static void forget_device(struct device *device)
{
	for (int n = 0; n < 6; n++)
		if (device->bar[n])
			munmap(device->bar[n], device->size[n]);
	if (device->uio >= 0)
		close(device->uio);
	volatile uint32_t *slots = device->slots;
	uint64_t slots_gpa = device->slots_gpa;
	memset(device, 0, sizeof *device);
	/* Memory that devices reach is never given back; the next one has it. */
	device->slots = slots;
	device->slots_gpa = slots_gpa;
}

static ino_t node_of(const char *bdf)
{
	char path[128];
	struct stat status;
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%.40s/config", bdf);
	return stat(path, &status) < 0 ? 0 : status.st_ino;
}

/* The record of a function; one is made for a function that is there. */
static struct device *device_of(const char *bdf)
{
	struct device *vacant = NULL;
	ino_t node = node_of(bdf);
	for (int i = 0; i < MAX_DEVICES; i++) {
		if (strcmp(devices[i].bdf, bdf) == 0) {
			if (devices[i].node == node && node)
				return &devices[i];
			forget_device(&devices[i]);
		}
		if (!devices[i].bdf[0] && !vacant)
			vacant = &devices[i];
	}
	if (strlen(bdf) >= sizeof vacant->bdf || strchr(bdf, '/') || read_hex(bdf, "vendor") < 0) {
		errno = ENODEV;
		return NULL;
	}
	for (int i = 0; !vacant && i < MAX_DEVICES; i++) {
		if (read_hex(devices[i].bdf, "vendor") < 0) {
			forget_device(&devices[i]);
			vacant = &devices[i];
		}
	}
	if (!vacant) {
		errno = ENOSPC;
		return NULL;
	}
	strcpy(vacant->bdf, bdf);
	vacant->node = node;
	vacant->uio = -1;
	return vacant;
}

static int map_bar(struct device *device, unsigned n)
{
	char name[32];
	struct stat status;
	if (n > 5) {
		errno = EINVAL;
		return -1;
	}
	if (device->bar[n])
		return 0;
	snprintf(name, sizeof name, "resource%u", n);
	int fd = open_attribute(device->bdf, name, O_RDWR | O_SYNC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) == 0) {
		void *address = mmap(NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (address != MAP_FAILED) {
			device->bar[n] = address;
			device->size[n] = status.st_size;
		}
	}
	int error = errno;
	close(fd);
	errno = error;
	return device->bar[n] ? 0 : -1;
}

/* Where an access goes, or NULL with errno. */
static volatile void *bar_address(const char *bdf, unsigned bar, uint64_t offset, unsigned width)
{
	struct device *device = device_of(bdf);
	if (!device || map_bar(device, bar) < 0)
		return NULL;
	if (width != 1 && width != 2 && width != 4 && width != 8) {
		errno = EINVAL;
		return NULL;
	}
	if (offset > device->size[bar] || device->size[bar] - offset < width) {
		errno = ERANGE;
		return NULL;
	}
	return (volatile char *)device->bar[bar] + offset;
}

static inline uint64_t load(volatile void *address, unsigned width)
{
	switch (width) {
	case 1: return *(volatile uint8_t *)address;
	case 2: return *(volatile uint16_t *)address;
	case 4: return *(volatile uint32_t *)address;
	default: return *(volatile uint64_t *)address;
	}
}

static inline void store(volatile void *address, unsigned width, uint64_t value)
{
	switch (width) {
	case 1: *(volatile uint8_t *)address = value; break;
	case 2: *(volatile uint16_t *)address = value; break;
	case 4: *(volatile uint32_t *)address = value; break;
	default: *(volatile uint64_t *)address = value;
	}
}

/* ---- memory that devices reach ---- */

struct area {
	char *virtual;
	uint64_t gpa;
	size_t size, used;
};

static struct area areas[MAX_AREAS];

static uint64_t gpa_of(void *address)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pread(fd, &entry, 8, (uintptr_t)address / 4096 * 8) != 8 || !(entry >> 63))
		entry = 0;
	close(fd);
	return (entry & ((1ull << 55) - 1)) * 4096;
}

static int add_huge_pages(size_t count)
{
	char text[32] = "";
	int fd = open("/proc/sys/vm/nr_hugepages", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int length = read(fd, text, sizeof text - 1) > 0 ? snprintf(text, sizeof text, "%ld", atol(text) + (long)count) : 0;
	ssize_t written = pwrite(fd, text, length, 0);
	close(fd);
	return written < 0 ? -1 : 0;
}

/* Contiguous guest-physical memory: huge pages, handed out in whole 4 KiB pages. */
static void *allocate(size_t length, uint64_t *gpa)
{
	size_t wanted = (length + 4095) & ~4095ull;
	struct area *vacant = NULL;
	for (int i = 0; i < MAX_AREAS; i++) {
		struct area *area = &areas[i];
		if (!area->size && !vacant)
			vacant = area;
		if (area->size - area->used >= wanted && wanted > 0) {
			char *address = area->virtual + area->used;
			*gpa = area->gpa + area->used;
			area->used += wanted;
			memset(address, 0, wanted);
			return address;
		}
	}
	size_t size = (wanted + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	if (!vacant || wanted == 0) {
		errno = wanted == 0 ? EINVAL : ENOSPC;
		return NULL;
	}
	if (add_huge_pages(size / HUGE_PAGE) < 0)
		return NULL;
	char *address = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE | MAP_LOCKED, -1, 0);
	if (address == MAP_FAILED)
		return NULL;
	uint64_t start = gpa_of(address);
	for (size_t at = 0; at < size; at += HUGE_PAGE) {
		if (start == 0 || gpa_of(address + at) != start + at) {
			munmap(address, size);
			errno = ENOMEM;
			return NULL;
		}
	}
	vacant->virtual = address;
	vacant->gpa = start;
	vacant->size = size;
	vacant->used = 0;
	return allocate(length, gpa);
}

static char *memory_at(uint64_t gpa, uint64_t length)
{
	for (int i = 0; i < MAX_AREAS; i++) {
		struct area *area = &areas[i];
		if (area->size && gpa >= area->gpa && gpa - area->gpa <= area->used &&
		    area->used - (gpa - area->gpa) >= length)
			return area->virtual + (gpa - area->gpa);
	}
	errno = EFAULT;
	return NULL;
}

/* ---- interrupts ---- */

#define COMMAND_MEMORY 0x2
#define COMMAND_MASTER 0x4
#define COMMAND_NO_INTX 0x400

static int change_command(const char *bdf, uint32_t clear, uint32_t set)
{
	return config_write(bdf, 4, 2, (config_read(bdf, 4, 2) & ~clear) | set);
}

static int enable_msix(struct device *device, unsigned count)
{
	unsigned capability = find_capability(device->bdf, 0x11);
	if (!capability) {
		errno = ENOTSUP;
		return -1;
	}
	unsigned control = config_read(device->bdf, capability + 2, 2);
	uint32_t table = config_read(device->bdf, capability + 4, 4);
	unsigned size = (control & 0x7ff) + 1;
	if (count > size)
		count = size;
	volatile uint32_t *entries = bar_address(device->bdf, table & 7, table & ~7u, 4);
	if (!entries || (device->size[table & 7] - (table & ~7u)) / 16 < size)
		return -1;
	/* Function mask while the table is written, as the kernel does. */
	if (config_write(device->bdf, capability + 2, 2, control | 0xc000) < 0)
		return -1;
	for (unsigned i = 0; i < size; i++) {
		uint64_t message = device->slots_gpa + i * 4;
		entries[i * 4 + 3] = 1;
		if (i >= count)
			continue;
		entries[i * 4] = message;
		entries[i * 4 + 1] = message >> 32;
		entries[i * 4 + 2] = i + 1;
		entries[i * 4 + 3] = 0;
	}
	device->kind = 'x';
	device->count = count;
	return config_write(device->bdf, capability + 2, 2, (control & ~0x4000) | 0x8000);
}

/* All vectors of MSI write to one doubleword, and the data says which: of several that come at once the last is seen. */
#define MSI_DATA 0x4000

static int enable_msi(struct device *device, unsigned count)
{
	unsigned capability = find_capability(device->bdf, 0x05);
	if (!capability) {
		errno = ENOTSUP;
		return -1;
	}
	unsigned control = config_read(device->bdf, capability + 2, 2);
	int wide = control & 0x80;
	unsigned log2 = 0;
	while (log2 < ((control >> 1) & 7) && 2u << log2 <= count)
		log2++;
	if (!wide && device->slots_gpa >> 32) {
		errno = ERANGE;
		return -1;
	}
	config_write(device->bdf, capability + 4, 4, device->slots_gpa);
	if (wide)
		config_write(device->bdf, capability + 8, 4, device->slots_gpa >> 32);
	config_write(device->bdf, capability + (wide ? 12 : 8), 2, MSI_DATA);
	if (control & 0x100)
		config_write(device->bdf, capability + (wide ? 16 : 12), 4, 0);
	device->kind = 'm';
	device->count = 1 << log2;
	return config_write(device->bdf, capability + 2, 2, (control & ~0x70) | log2 << 4 | 1);
}

static int enable_intx(struct device *device)
{
	char text[64], path[256];
	snprintf(text, sizeof text, "%lx %lx", read_hex(device->bdf, "vendor"), read_hex(device->bdf, "device"));
	if (write_file("/sys/bus/pci/drivers/uio_pci_generic/new_id", text) < 0 && errno != EEXIST)
		return -1;
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/uio", device->bdf);
	DIR *folder = opendir(path);
	if (!folder) {
		write_file("/sys/bus/pci/drivers/uio_pci_generic/bind", device->bdf);
		folder = opendir(path);
	}
	if (!folder)
		return -1;
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (strncmp(entry->d_name, "uio", 3) != 0)
			continue;
		snprintf(path, sizeof path, "/dev/%.32s", entry->d_name);
		device->uio = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	}
	closedir(folder);
	if (device->uio < 0)
		return -1;
	device->kind = 'i';
	device->count = 1;
	return change_command(device->bdf, COMMAND_NO_INTX, COMMAND_MASTER | COMMAND_MEMORY);
}

static void disable_interrupts(struct device *device)
{
	unsigned capability;
	if (device->kind == 'x' && (capability = find_capability(device->bdf, 0x11)))
		config_write(device->bdf, capability + 2, 2, config_read(device->bdf, capability + 2, 2) & ~0xc000);
	if (device->kind == 'm' && (capability = find_capability(device->bdf, 0x05)))
		config_write(device->bdf, capability + 2, 2, config_read(device->bdf, capability + 2, 2) & ~1);
	if (device->kind == 'i') {
		close(device->uio);
		device->uio = -1;
		write_file("/sys/bus/pci/drivers/uio_pci_generic/unbind", device->bdf);
	}
	device->kind = 0;
	device->count = 0;
}

static int take_slot(struct device *device, unsigned vector)
{
	if (device->kind != 'm')
		return __atomic_exchange_n(&device->slots[vector], 0, __ATOMIC_SEQ_CST) != 0;
	uint32_t message = MSI_DATA | vector;
	return __atomic_compare_exchange_n(&device->slots[0], &message, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Appends the vectors that came to text; returns their number. */
static int take_interrupts(struct device *device, char *text, size_t size)
{
	int taken = 0;
	size_t length = 0;
	text[0] = 0;
	if (device->kind == 'i') {
		uint32_t count;
		if (read(device->uio, &count, 4) == 4) {
			/* The kernel turned the pin off when it came. */
			change_command(device->bdf, COMMAND_NO_INTX, 0);
			snprintf(text, size, " 0");
			return 1;
		}
		return 0;
	}
	for (unsigned i = 0; i < device->count && length + 8 < size; i++) {
		if (take_slot(device, i)) {
			length += snprintf(text + length, size - length, " %x", i);
			taken++;
		}
	}
	return taken;
}

static void enable_interrupts(const char *id, const char *bdf, const char *kind, unsigned count)
{
	struct device *device = device_of(bdf);
	if (!device)
		return fail(id, "no such function");
	if (device->kind)
		disable_interrupts(device);
	if (!device->slots && !(device->slots = allocate(2048 * 4, &device->slots_gpa)))
		return fail(id, "cannot allocate messages");
	memset((void *)device->slots, 0, 2048 * 4);
	if (change_command(bdf, 0, COMMAND_MEMORY | COMMAND_MASTER) < 0)
		return fail(id, "cannot turn on bus mastering");
	int result = strcmp(kind, "msix") == 0 ? enable_msix(device, count)
		   : strcmp(kind, "msi") == 0  ? enable_msi(device, count)
					       : enable_intx(device);
	if (result < 0)
		return fail(id, kind);
	reply(id, "= %x", device->count);
}

struct wait {
	char id[16];
	struct device *device;
	struct timespec deadline;
};

static struct wait waits[MAX_WAITS];

static int is_past(const struct timespec *deadline)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > deadline->tv_sec ||
	       (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

/* Answers waits that are over; returns whether some are not. */
static int serve_waits(void)
{
	char text[1000];
	int left = 0;
	for (int i = 0; i < MAX_WAITS; i++) {
		struct wait *wait = &waits[i];
		if (!wait->device)
			continue;
		if (take_interrupts(wait->device, text, sizeof text) > 0 || is_past(&wait->deadline)) {
			wait->device = NULL;
			reply(wait->id, "=%s", text);
		} else {
			left = 1;
		}
	}
	return left;
}

static void wait_interrupt(const char *id, const char *bdf, unsigned ms)
{
	struct device *device = device_of(bdf);
	if (!device || !device->kind) {
		errno = ENODEV;
		return fail(id, "interrupts are off");
	}
	for (int i = 0; i < MAX_WAITS; i++) {
		struct wait *wait = &waits[i];
		if (wait->device)
			continue;
		snprintf(wait->id, sizeof wait->id, "%s", id);
		wait->device = device;
		clock_gettime(CLOCK_MONOTONIC, &wait->deadline);
		wait->deadline.tv_sec += ms / 1000;
		wait->deadline.tv_nsec += ms % 1000 * 1000000l;
		if (wait->deadline.tv_nsec >= 1000000000l) {
			wait->deadline.tv_sec++;
			wait->deadline.tv_nsec -= 1000000000l;
		}
		serve_waits();
		return;
	}
	errno = ENOSPC;
	fail(id, "too many waits");
}

/* ---- measuring ---- */

static double ns_per_tick(void)
{
	static double known;
	if (known == 0) {
		struct timespec start, end;
		clock_gettime(CLOCK_MONOTONIC, &start);
		uint64_t ticks = __rdtsc();
		do
			clock_gettime(CLOCK_MONOTONIC, &end);
		while ((end.tv_sec - start.tv_sec) * 1000000000l + end.tv_nsec - start.tv_nsec < 50000000l);
		ticks = __rdtsc() - ticks;
		known = ((end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec) / ticks;
	}
	return known;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return left < right ? -1 : left > right;
}

static void report(const char *id, uint64_t *ticks, unsigned count, uint64_t total)
{
	double scale = ns_per_tick();
	qsort(ticks, count, sizeof *ticks, compare);
#define QUANTILE(share) ((uint64_t)(ticks[(uint64_t)((count - 1) * (share))] * scale))
	unsigned octaves[64] = { 0 };
	for (unsigned i = 0; i < count; i++) {
		uint64_t ns = ticks[i] * scale;
		octaves[ns ? 63 - __builtin_clzl(ns) : 0]++;
	}
	char words[800] = "";
	size_t length = 0;
	for (unsigned power = 0; power < 64 && length < sizeof words - 32; power++)
		if (octaves[power])
			length += snprintf(words + length, sizeof words - length, " %x:%x", power, octaves[power]);
	reply(id, "= %lx %lx %lx %lx %lx %lx%s", QUANTILE(0.5), QUANTILE(0.99), QUANTILE(0.999), QUANTILE(0.0),
	      QUANTILE(1.0), (uint64_t)(total * scale), words);
#undef QUANTILE
}

static uint64_t *samples(const char *id, unsigned count)
{
	uint64_t *ticks = count == 0 || count > 10000000 ? NULL : malloc(count * sizeof *ticks);
	if (!ticks) {
		errno = EINVAL;
		fail(id, "count");
	}
	return ticks;
}

static void measure(const char *id, volatile void *address, unsigned width, unsigned count)
{
	uint64_t *ticks = samples(id, count);
	if (!ticks)
		return;
	uint64_t first = __rdtsc(), before = first;
	for (unsigned i = 0; i < count; i++) {
		load(address, width);
		uint64_t after = __rdtsc();
		ticks[i] = after - before;
		before = after;
	}
	report(id, ticks, count, before - first);
	free(ticks);
}

static void measure_doorbell(const char *id, struct device *device, volatile void *address, unsigned width,
			     uint64_t value, unsigned vector, unsigned count)
{
	if (vector >= device->count || device->kind == 'i') {
		errno = EINVAL;
		return fail(id, "vector");
	}
	volatile uint32_t *slot = &device->slots[device->kind == 'm' ? 0 : vector];
	uint64_t *ticks = samples(id, count);
	if (!ticks)
		return;
	uint64_t limit = 5e9 / ns_per_tick(), total = 0;
	for (unsigned i = 0; i < count; i++) {
		take_slot(device, vector);
		uint64_t before = __rdtsc(), after = before;
		store(address, width, value);
		while (!*slot && after - before < limit)
			after = __rdtsc();
		after = __rdtsc();
		if (!*slot) {
			free(ticks);
			errno = ETIMEDOUT;
			return fail(id, "no message came");
		}
		ticks[i] = after - before;
		total += ticks[i];
	}
	take_slot(device, vector);
	report(id, ticks, count, total);
	free(ticks);
}

/* ---- commands ---- */

struct job {
	char id[16];
	pid_t pid;
	int exited, code;
	int output[2];
};

static struct job jobs[MAX_JOBS];

static void run(const char *id, const char *command)
{
	int out[2], err[2];
	struct job *job = NULL;
	for (int i = 0; i < MAX_JOBS && !job; i++)
		if (!jobs[i].pid)
			job = &jobs[i];
	if (!job) {
		errno = EAGAIN;
		return fail(id, "too many commands");
	}
	if (pipe2(out, O_CLOEXEC) < 0)
		return fail(id, "pipe");
	if (pipe2(err, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		return fail(id, "pipe");
	}
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		signal(SIGPIPE, SIG_DFL);
		int null = open("/dev/null", O_RDONLY);
		dup2(null, 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	if (pid < 0) {
		close(out[0]);
		close(err[0]);
		return fail(id, "fork");
	}
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	snprintf(job->id, sizeof job->id, "%s", id);
	job->pid = pid;
	job->exited = 0;
	job->output[0] = out[0];
	job->output[1] = err[0];
}

/* Passes on one chunk; returns 0 when there is none. */
static int pass_output(struct job *job, int stream)
{
	char data[4096], head[64];
	if (job->output[stream] < 0)
		return 0;
	ssize_t length = read(job->output[stream], data, sizeof data);
	if (length > 0) {
		send_bytes(head, snprintf(head, sizeof head, "%s + %x %zx\n", job->id, stream + 1, (size_t)length));
		send_bytes(data, length);
		return 1;
	}
	if (length == 0 || errno != EAGAIN) {
		close(job->output[stream]);
		job->output[stream] = -1;
	}
	return 0;
}

static void finish_jobs(void)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		for (int i = 0; i < MAX_JOBS; i++) {
			if (jobs[i].pid == pid) {
				jobs[i].exited = 1;
				jobs[i].code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			}
		}
	}
	for (int i = 0; i < MAX_JOBS; i++) {
		struct job *job = &jobs[i];
		if (!job->pid || !job->exited)
			continue;
		/* What it left behind in the background may keep the pipes open: only what is there now counts. */
		for (int stream = 0; stream < 2; stream++) {
			while (pass_output(job, stream))
				;
			if (job->output[stream] >= 0)
				close(job->output[stream]);
		}
		job->pid = 0;
		reply(job->id, "= %x", job->code);
	}
}

static void signal_job(const char *id, const char *target, int number)
{
	for (int i = 0; i < MAX_JOBS; i++) {
		if (jobs[i].pid && !jobs[i].exited && strcmp(jobs[i].id, target) == 0) {
			kill(-jobs[i].pid, number);
			return reply(id, "=");
		}
	}
	errno = ESRCH;
	fail(id, "signal");
}

/* ---- requests ---- */

static void find(const char *id, long vendor, long product)
{
	char text[2048] = "";
	size_t length = 0;
	struct dirent **entries;
	int count = scandir("/sys/bus/pci/devices", &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		const char *name = entries[i]->d_name;
		if (name[0] != '.' && read_hex(name, "vendor") == vendor && read_hex(name, "device") == product &&
		    length + 32 < 1000)
			length += snprintf(text + length, sizeof text - length, " %s", name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	reply(id, "=%s", text);
}

static void enable(const char *id, const char *bdf)
{
	char path[256];
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/enable", bdf);
	/* Refused while a driver holds the function; then it is on already. */
	write_file(path, "1");
	if (change_command(bdf, 0, COMMAND_MEMORY | COMMAND_MASTER) < 0)
		return fail(id, bdf);
	reply(id, "=");
}

static void read_memory(const char *id, uint64_t gpa, uint64_t length)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = (const unsigned char *)memory_at(gpa, length);
	if (!bytes || length > LINE_LIMIT / 4)
		return fail(id, "not allocated");
	char *text = malloc(length * 2 + 1);
	for (uint64_t i = 0; i < length; i++) {
		text[i * 2] = digits[bytes[i] >> 4];
		text[i * 2 + 1] = digits[bytes[i] & 15];
	}
	text[length * 2] = '\n';
	send_bytes(id, strlen(id));
	send_bytes(" = ", 3);
	send_bytes(text, length * 2 + 1);
	free(text);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void write_memory(const char *id, uint64_t gpa, const char *hex)
{
	size_t length = strlen(hex) / 2;
	char *bytes = memory_at(gpa, length);
	if (!bytes)
		return fail(id, "not allocated");
	for (size_t i = 0; i < length; i++)
		bytes[i] = digit(hex[i * 2]) << 4 | digit(hex[i * 2 + 1]);
	reply(id, "=");
}

static void set_size(const char *id, unsigned rows, unsigned columns, const char *tty)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };
	int fd = open(tty, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TIOCSWINSZ, &size) < 0)
		fail(id, tty);
	else
		reply(id, "=");
	if (fd >= 0)
		close(fd);
}

#define MAX_WORDS 9

static void serve(char *line)
{
	char *command_text = NULL, *words[MAX_WORDS] = { 0 };
	int count = 0;
	for (char *at = line; count < MAX_WORDS;) {
		at += strspn(at, " \r");
		if (!*at)
			break;
		words[count++] = at;
		at += strcspn(at, " \r");
		if (*at)
			*at++ = 0;
		if (count == 2) {
			command_text = at;
			if (strcmp(words[1], "run") == 0)
				break;
		}
	}
	if (count == 0)
		return;
	const char *id = words[0], *command = count > 1 ? words[1] : "";
	if (strlen(id) > 15)
		return;
	uint64_t n[MAX_WORDS] = { 0 };
	for (int i = 2; i < count; i++)
		n[i] = strtoull(words[i], NULL, 16);
	const char *bdf = count > 2 ? words[2] : "";
	volatile void *address;
	struct device *device;
	char text[1000];
#define IS(name, least) (strcmp(command, name) == 0 && count >= (least))
	if (IS("hello", 2)) {
		reply(id, "= " GREETING);
	} else if (IS("find", 4)) {
		find(id, n[2], n[3]);
	} else if (IS("enable", 3)) {
		enable(id, bdf);
	} else if (IS("bar", 4)) {
		if (!(device = device_of(bdf)))
			return fail(id, bdf);
		map_bar(device, n[3]);
		reply(id, "= %zx", n[3] > 5 ? 0 : device->size[n[3]]);
	} else if (IS("read", 6)) {
		if (!(address = bar_address(bdf, n[3], n[4], n[5])))
			return fail(id, "read");
		reply(id, "= %lx", load(address, n[5]));
	} else if (IS("write", 7)) {
		if (!(address = bar_address(bdf, n[3], n[4], n[5])))
			return fail(id, "write");
		store(address, n[5], n[6]);
		reply(id, "=");
	} else if (IS("config-read", 5)) {
		uint32_t value = 0;
		if (n[4] > 4 || config_access(bdf, n[3], &value, n[4], 0) < 0)
			return fail(id, "config-read");
		reply(id, "= %x", value);
	} else if (IS("config-write", 6)) {
		if (n[4] > 4 || config_write(bdf, n[3], n[4], n[5]) < 0)
			return fail(id, "config-write");
		reply(id, "=");
	} else if (IS("allocate", 3)) {
		uint64_t gpa;
		if (!allocate(n[2], &gpa))
			return fail(id, "allocate");
		reply(id, "= %lx", gpa);
	} else if (IS("memory-read", 4)) {
		read_memory(id, n[2], n[3]);
	} else if (IS("memory-write", 4)) {
		write_memory(id, n[2], words[3]);
	} else if (IS("irq-enable", 5)) {
		enable_interrupts(id, bdf, words[3], n[4]);
	} else if (IS("irq-disable", 3)) {
		if ((device = device_of(bdf)))
			disable_interrupts(device);
		reply(id, "=");
	} else if (IS("irq-take", 3)) {
		if (!(device = device_of(bdf)))
			return fail(id, bdf);
		take_interrupts(device, text, sizeof text);
		reply(id, "=%s", text);
	} else if (IS("irq-wait", 4)) {
		wait_interrupt(id, bdf, n[3]);
	} else if (IS("measure", 7)) {
		if (!(address = bar_address(bdf, n[3], n[4], n[5])))
			return fail(id, "measure");
		measure(id, address, n[5], n[6]);
	} else if (IS("doorbell", 9)) {
		if (!(address = bar_address(bdf, n[3], n[4], n[5])))
			return fail(id, "doorbell");
		measure_doorbell(id, device_of(bdf), address, n[5], n[6], n[7], n[8]);
	} else if (IS("run", 2)) {
		run(id, command_text ? command_text : "");
	} else if (IS("signal", 4)) {
		signal_job(id, words[2], n[3]);
	} else if (IS("size", 5)) {
		set_size(id, n[2], n[3], words[4]);
	} else {
		errno = EINVAL;
		fail(id, command);
	}
#undef IS
}

/* ---- power button ---- */

/* ACPI's button is a keyboard with one key; the host's request to shut down presses it. */
static int inputs[MAX_INPUTS], input_count;

static void open_inputs(void)
{
	char path[64];
	for (int i = 0; i < MAX_INPUTS; i++) {
		snprintf(path, sizeof path, "/dev/input/event%d", i);
		int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			inputs[input_count++] = fd;
	}
}

static void read_input(int fd)
{
	struct input_event event;
	while (read(fd, &event, sizeof event) == sizeof event) {
		if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1 && fork() == 0) {
			execl("/bin/sh", "sh", "-c", "/sbin/poweroff -f", NULL);
			_exit(127);
		}
	}
}

/* ---- loop ---- */

static char line[LINE_LIMIT];
static size_t line_length;

static void read_serial(void)
{
	char data[4096];
	ssize_t length = read(serial, data, sizeof data);
	for (ssize_t i = 0; i < length; i++) {
		if (data[i] != '\n') {
			if (line_length < LINE_LIMIT - 1)
				line[line_length++] = data[i];
			continue;
		}
		line[line_length] = 0;
		line_length = 0;
		serve(line);
	}
}

int main(int count, char **words)
{
	struct termios mode;
	int code = vsock_main(count, words);
	if (code >= 0)
		return code;
	serial = open(count > 1 ? words[1] : "/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (serial < 0 || tcgetattr(serial, &mode) < 0) {
		perror("hdvkit-agent");
		return 1;
	}
	cfmakeraw(&mode);
	cfsetspeed(&mode, B115200);
	mode.c_cflag |= CLOCAL;
	tcsetattr(serial, TCSANOW, &mode);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	for (int i = 0; i < MAX_DEVICES; i++)
		devices[i].uio = -1;
	open_inputs();
	send_bytes("\n* " GREETING "\n", strlen(GREETING) + 4);
	for (;;) {
		struct pollfd fds[1 + MAX_INPUTS + 2 * MAX_JOBS] = { { .fd = serial, .events = POLLIN } };
		int used = 1, busy = serve_waits();
		for (int i = 0; i < input_count; i++)
			fds[used++] = (struct pollfd){ .fd = inputs[i], .events = POLLIN };
		for (int i = 0; i < MAX_JOBS; i++) {
			for (int stream = 0; jobs[i].pid && stream < 2; stream++) {
				if (jobs[i].output[stream] >= 0)
					fds[used++] = (struct pollfd){ .fd = jobs[i].output[stream], .events = POLLIN };
			}
		}
		for (int i = 0; i < MAX_JOBS; i++)
			busy |= jobs[i].pid ? 2 : 0;
		poll(fds, used, busy & 1 ? 1 : busy ? 20 : -1);
		if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
			read_serial();
		for (int i = 0; i < input_count; i++)
			if (fds[1 + i].revents)
				read_input(inputs[i]);
		for (int i = 0; i < MAX_JOBS; i++)
			for (int stream = 0; jobs[i].pid && stream < 2; stream++)
				pass_output(&jobs[i], stream);
		finish_jobs();
	}
}
