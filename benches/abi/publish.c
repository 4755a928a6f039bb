/*
 * What a publish of 100 bytes costs its caller through the C ABI, beside a call that does nothing, and how many
 * messages a second the reactors take. Each figure is the median of RUNS; the spread is printed with it.
 */
#define _GNU_SOURCE
#include "encke.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 9, MESSAGES = 2000000, BATCH = 100, LONE = 2000 };

/* Written to the floor's eventfd once it is measured: more than its sleeper can miss. */
static const uint64_t END = LONE + 1;

static const char CHANNEL[] = "/bench/ab";
static char data[100];
static encke *server;
static encke_channel *channel;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void report(const char *what, double *runs, int count, const char *unit)
{
    qsort(runs, (size_t)count, sizeof *runs, by_size);
    printf("%-44s %10.1f %s   (%.1f to %.1f)\n", what, runs[count / 2], unit, runs[0], runs[count - 1]);
}

static void need(int32_t code, const char *what)
{
    if (code < 0) {
        fprintf(stderr, "%s: %s: %s\n", what, encke_strerror(code), encke_last_error());
        exit(1);
    }
}

static int32_t by_name(void)
{
    return encke_publish(server, CHANNEL, sizeof CHANNEL - 1, data, sizeof data);
}

static int32_t by_channel(void)
{
    return encke_channel_publish(channel, data, sizeof data);
}

/* Publishes, and waits where there is no room; counts how often that was. */
static inline __attribute__((always_inline)) long publish_all(long count, int32_t (*publish)(void))
{
    long full = 0;
    for (long sent = 0; sent < count;) {
        int32_t code = publish();
        if (code == ENCKE_OK)
            sent++;
        else if (code == ENCKE_EAGAIN)
            full++, usleep(50);
        else
            need(code, "encke_publish");
    }
    return full;
}

static void *publisher(void *count)
{
    publish_all(*(long *)count, by_name);
    return NULL;
}

/* The floor of a wake-up: a thread that sleeps as a reactor does, in epoll_wait on an eventfd, until that is written to. */
static void *sleeper(void *written)
{
    int fd = *(int *)written, poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    uint64_t count = 0;
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0)
        exit(1);
    while (count < END)
        if (epoll_wait(poll, &event, 1, -1) == 1 && read(fd, &count, sizeof count) != sizeof count)
            exit(1);
    close(poll);
    return NULL;
}

/* One of each in turn, after a pause in which all sleepers have fallen asleep. */
static void wake_sleepers(double *bare, double *lone, double *lone_by_channel, double *ratio)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t one = 1, end = END;
    pthread_t thread;
    pthread_create(&thread, NULL, sleeper, &fd);
    for (int message = 0; message < LONE; message++) {
        usleep(1200);
        double begun = now();
        if (write(fd, &one, sizeof one) != sizeof one)
            exit(1);
        bare[message] = (now() - begun) / 1000;
        usleep(1200);
        begun = now();
        need(by_name(), "encke_publish");
        lone[message] = (now() - begun) / 1000;
        ratio[message] = lone[message] / bare[message];
        usleep(1200);
        begun = now();
        need(by_channel(), "encke_channel_publish");
        lone_by_channel[message] = (now() - begun) / 1000;
    }
    if (write(fd, &end, sizeof end) != sizeof end)
        exit(1);
    pthread_join(thread, NULL);
    close(fd);
}

int main(int argc, char **argv)
{
    const char *options = argc > 1 ? argv[1] : "{\"listen\":\"127.0.0.1:0\",\"reactors\":1}";
    double calls[RUNS], drained[RUNS];
    memset(data, 'x', sizeof data);
    need(encke_start(options, strlen(options), &server), "encke_start");
    need(encke_channel_open(server, CHANNEL, sizeof CHANNEL - 1, &channel), "encke_channel_open");

    for (int run = 0; run < RUNS; run++) {
        double begun = now();
        for (long call = 0; call < 10000000; call++)
            encke_abi_version();
        calls[run] = (now() - begun) / 1e7;
    }
    report("a call that does nothing", calls, RUNS, "ns");

    /* As many as the mailbox holds: what a publish costs when nobody has to wait. */
    enum { BURST = 50000 };
    static double named[RUNS];
    for (int run = 0; run < RUNS; run++) {
        need(encke_flush(server, 10000), "encke_flush");
        double begun = now();
        long full = publish_all(BURST, by_name);
        named[run] = (now() - begun) / BURST;
        need(encke_flush(server, 10000), "encke_flush");
        begun = now();
        full += publish_all(BURST, by_channel);
        calls[run] = (now() - begun) / BURST;
        if (full)
            printf("  (a burst of %d found the mailbox full %ld times)\n", BURST, full);
    }
    report("encke_publish, a burst, reactor awake", named, RUNS, "ns");
    report("encke_channel_publish, in turn with it", calls, RUNS, "ns");

    for (int run = 0; run < RUNS; run++) {
        double begun = now();
        publish_all(MESSAGES, by_name);
        calls[run] = (now() - begun) / MESSAGES;
        need(encke_flush(server, 10000), "encke_flush");
        drained[run] = MESSAGES / ((now() - begun) / 1e9) / 1e6;
    }
    report("encke_publish, without an end", calls, RUNS, "ns");
    report("  taken by the reactors", drained, RUNS, "M/s");

    long half = MESSAGES / 2;
    for (int run = 0; run < RUNS; run++) {
        pthread_t other;
        double begun = now();
        pthread_create(&other, NULL, publisher, &half);
        publish_all(half, by_name);
        pthread_join(other, NULL);
        need(encke_flush(server, 10000), "encke_flush");
        drained[run] = MESSAGES / ((now() - begun) / 1e9) / 1e6;
    }
    report("  the same from two threads", drained, RUNS, "M/s");

    char lines[BATCH * 101], packed[BATCH * (8 + 9 + 100)];
    char *end = packed;
    for (int message = 0; message < BATCH; message++) {
        memcpy(lines + message * 101, data, 100);
        lines[message * 101 + 100] = '\n';
        uint32_t lengths[2] = { sizeof CHANNEL - 1, sizeof data };
        memcpy(end, lengths, 8), end += 8;
        memcpy(end, CHANNEL, sizeof CHANNEL - 1), end += sizeof CHANNEL - 1;
        memcpy(end, data, sizeof data), end += sizeof data;
    }
    for (int form = 0; form < 2; form++) {
        for (int run = 0; run < RUNS; run++) {
            need(encke_flush(server, 10000), "encke_flush");
            double begun = now();
            for (int call = 0; call < BURST / BATCH; call++) {
                ptrdiff_t taken = form ? encke_publish_packed(server, packed, (size_t)(end - packed))
                                       : encke_publish_split(server, CHANNEL, sizeof CHANNEL - 1, lines, sizeof lines, '\n');
                if (taken != BATCH)
                    need(taken < 0 ? (int32_t)taken : ENCKE_EAGAIN, "a batch");
            }
            calls[run] = (now() - begun) / BURST;
        }
        report(form ? "encke_publish_packed, 100 a call, a message" : "encke_publish_split, 100 a call, a message", calls, RUNS, "ns");
    }

    static double bare[LONE], lone[LONE], lone_by_channel[LONE], ratio[LONE];
    wake_sleepers(bare, lone, lone_by_channel, ratio);
    report("a write to an eventfd that wakes a sleeper", bare, LONE, "us");
    report("a lone encke_publish that wakes a sleeper", lone, LONE, "us");
    report("a lone encke_channel_publish that wakes one", lone_by_channel, LONE, "us");
    report("  the first two in turn, the second by the first", ratio, LONE, "");
    need(encke_stop(server, 10000), "encke_stop");
    return 0;
}
