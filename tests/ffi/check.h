/* What the programs here have in common: they end at the first thing that is not as it must be, and say where. */
#ifndef CHECK_H
#define CHECK_H

#define _GNU_SOURCE
#include "encke.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MUST(condition) \
    ((condition) ? (void)0 \
                 : (void)(fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, encke_last_error()), exit(1)))

/* What a call must answer. */
#define IS(call, expected) \
    do { \
        long got = (long)(call), wanted = (long)(expected); \
        if (got != wanted) { \
            fprintf(stderr, "%s:%d: %s is %ld, not %ld (%s)\n", __FILE__, __LINE__, #call, got, wanted, encke_last_error()); \
            exit(1); \
        } \
    } while (0)

#define TEXT(literal) literal, sizeof(literal) - 1

/* Long enough for any machine; nothing waits that long unless it fails. */
enum { PATIENCE_MS = 30000, LIFE_SECONDS = 120 };

/* Whatever hangs is ended. A child has to ask for this itself. */
__attribute__((constructor)) static void end_in_time(void)
{
    alarm(LIFE_SECONDS);
}

static inline encke *start(const char *options)
{
    encke *server = NULL;
    IS(encke_start(options, strlen(options), &server), ENCKE_OK);
    MUST(server != NULL);
    return server;
}

static inline int port_of(encke *server)
{
    char address[4096];
    MUST(encke_address(server, address, sizeof address) > 0);
    const char *found = strstr(address, "127.0.0.1:");
    MUST(found != NULL);
    return atoi(found + strlen("127.0.0.1:"));
}

/* A connection to the server that has sent a request. */
static inline int ask(int port, const char *format, ...)
{
    char request[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(request, sizeof request, format, arguments);
    va_end(arguments);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    MUST(client >= 0 && connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    MUST(write(client, request, (size_t)length) == length);
    return client;
}

static inline int subscribe(int port, const char *channel, const char *query)
{
    return ask(port, "GET /sub%s?%s HTTP/1.1\r\nHost: localhost\r\n\r\n", channel, query);
}

/* Reads until what came contains text; what was read last stays in buffer, which is a string. */
static inline void await(int client, const char *text, char *buffer, size_t size)
{
    size_t length = 0;
    buffer[0] = 0;
    while (strstr(buffer, text) == NULL) {
        struct pollfd readable = { .fd = client, .events = POLLIN };
        if (length == size - 1) {
            length /= 2;
            memmove(buffer, buffer + size - 1 - length, length);
        }
        ssize_t count = -1;
        if (poll(&readable, 1, PATIENCE_MS) == 1)
            count = read(client, buffer + length, size - length - 1);
        if (count <= 0)
            fprintf(stderr, "no %s in: %.2000s\n", text, buffer), exit(1);
        length += (size_t)count;
        buffer[length] = 0;
    }
}

/* Waits for the next event of this kind; passes over others. */
static inline void next_event(encke *server, uint32_t kind, encke_event *event)
{
    for (;;) {
        int32_t found;
        while ((found = encke_next_event(server, event)) == 1) {
            if (event->kind == kind)
                return;
            encke_event_free(event);
        }
        IS(found, 0);
        struct pollfd readable = { .fd = encke_event_fd(server), .events = POLLIN };
        MUST(poll(&readable, 1, PATIENCE_MS) == 1);
    }
}

#endif
