/*
 * Sockets between the test guest and its host (AF_VSOCK, vsock(7)), by the first word of the command line. Ports are
 * decimal, or hexadecimal after 0x.
 *
 *   hdvkit-agent vsock-connect PORT           standard input and output are a connection to a port of the host; the end
 *                                             of the input is passed on, the end of the connection ends the program
 *   hdvkit-agent vsock-listen PORT COMMAND    every connection of the host is standard input and output of a command
 *   hdvkit-agent guest-connection             the guest's end of the connection of the compute service
 *
 * The guest connection is one to port 0x40000000 of the host, made again whenever it ends. A message is a header of 16
 * bytes, little endian (type, size with the header, id), and JSON. Host and guest agree on version 4 of the protocol;
 * of the requests that may follow, this end does ShutdownGraceful and refuses the others.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vsock.h"

#define BRIDGE_PORT 0x40000000u
#define MESSAGE_LIMIT 65536
#define RETRY_US 100000

enum {
	RESPONSE = 0x20000000,
	KIND = 0xf0000000,
	REQUEST = 0x10000000,
	SHUTDOWN_GRACEFUL = 0x10100301,
	NEGOTIATE_PROTOCOL = 0x10100b01,
};

struct header {
	uint32_t type;
	uint32_t size;
	int64_t id;
};

static int write_all(int fd, const void *data, size_t length)
{
	const char *at = data;
	while (length > 0) {
		ssize_t sent = write(fd, at, length);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return -1;
		at += sent;
		length -= sent;
	}
	return 0;
}

static int read_all(int fd, void *data, size_t length)
{
	char *at = data;
	while (length > 0) {
		ssize_t got = read(fd, at, length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		at += got;
		length -= got;
	}
	return 0;
}

static struct sockaddr_vm address_of(unsigned cid, unsigned port)
{
	return (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
}

static int connect_host(unsigned port)
{
	struct sockaddr_vm address = address_of(VMADDR_CID_HOST, port);
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int relay(unsigned port)
{
	char data[16384];
	int input = 0, fd = connect_host(port);
	if (fd < 0) {
		perror("vsock-connect");
		return 1;
	}
	for (;;) {
		struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = input, .events = POLLIN } };
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents) {
			ssize_t length = read(fd, data, sizeof data);
			if (length <= 0)
				return length < 0;
			if (write_all(1, data, length) < 0)
				return 1;
		}
		if (fds[1].revents) {
			ssize_t length = read(input, data, sizeof data);
			if (length > 0 && write_all(fd, data, length) < 0)
				return 1;
			if (length <= 0) {
				shutdown(fd, SHUT_WR);
				input = -1;
			}
		}
	}
}

static int serve_commands(unsigned port, const char *command)
{
	struct sockaddr_vm address = address_of(VMADDR_CID_ANY, port);
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0) {
		perror("vsock-listen");
		return 1;
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (connection >= 0 && fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			dup2(connection, 0);
			dup2(connection, 1);
			execl("/bin/sh", "sh", "-c", command, NULL);
			_exit(127);
		}
		if (connection >= 0)
			close(connection);
		else if (errno != EINTR && errno != ECONNABORTED)
			usleep(RETRY_US);
	}
}

/* ---- guest connection ---- */

static int answer(int fd, const struct header *request, const char *text)
{
	struct header header = {
		.type = (request->type & ~KIND) | RESPONSE,
		.size = sizeof header + strlen(text),
		.id = request->id,
	};
	return write_all(fd, &header, sizeof header) < 0 ? -1 : write_all(fd, text, strlen(text));
}

static const char *reply_to(uint32_t type)
{
	switch (type) {
	case NEGOTIATE_PROTOCOL:
		return "{\"Result\":0,\"Version\":4,\"Capabilities\":{"
		       "\"SupportedSchemaVersions\":[{\"Major\":2,\"Minor\":1}],\"RuntimeOsType\":\"Linux\","
		       "\"GuestDefinedCapabilities\":{\"SignalProcessSupported\":false,\"DumpStacksSupported\":false}}}";
	case SHUTDOWN_GRACEFUL:
		return "{\"Result\":0}";
	default:
		return "{\"Result\":-2147467263,\"ErrorMessage\":\"The test guest does not do this\"}"; /* E_NOTIMPL */
	}
}

static void serve_requests(int fd)
{
	static char text[MESSAGE_LIMIT];
	struct header header;
	while (read_all(fd, &header, sizeof header) == 0) {
		if ((header.type & KIND) != REQUEST || header.size < sizeof header || header.size > MESSAGE_LIMIT ||
		    read_all(fd, text, header.size - sizeof header) < 0)
			return;
		if (answer(fd, &header, reply_to(header.type)) < 0)
			return;
		if (header.type == SHUTDOWN_GRACEFUL)
			execl("/bin/sh", "sh", "-c", "/sbin/poweroff -f", NULL);
	}
}

static int keep_connected(void)
{
	for (;;) {
		int fd = connect_host(BRIDGE_PORT);
		if (fd >= 0) {
			serve_requests(fd);
			close(fd);
		} else if (errno == EAFNOSUPPORT) {
			perror("guest-connection");
			return 1;
		}
		usleep(RETRY_US);
	}
}

int vsock_main(int count, char **words)
{
	const char *mode = count > 1 ? words[1] : "";
	unsigned port = count > 2 ? strtoul(words[2], NULL, 0) : 0;
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(mode, "vsock-connect") == 0 && count == 3)
		return relay(port);
	if (strcmp(mode, "vsock-listen") == 0 && count == 4)
		return serve_commands(port, words[3]);
	if (strcmp(mode, "guest-connection") == 0)
		return keep_connected();
	return -1;
}
