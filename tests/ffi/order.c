/*
 * A hundred thousand messages from one thread, from four threads, and from four forked processes over the control
 * socket: each reader, by event stream and by long-poll, gets all of them, and those of each sender in order.
 */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

enum { MESSAGES = 100000, SENDERS = 4 };

static encke *server;
static int port;

/* The messages "sender number" of one channel, as they come. */
struct reader {
    char channel[32];
    int long_poll;
    int ready[2];
    pthread_t thread;
};

static void check_next(long *next, const char *text, const char *channel)
{
    long sender, number;
    MUST(sscanf(text, "%ld %ld", &sender, &number) == 2 && sender >= 0 && sender < SENDERS);
    if (number != next[sender])
        fprintf(stderr, "%s: %ld of sender %ld came, not %ld\n", channel, number, sender, next[sender]), exit(1);
    next[sender]++;
}

static void tell_ready(struct reader *reader)
{
    MUST(write(reader->ready[1], "", 1) == 1);
}

static void *read_stream(void *argument)
{
    struct reader *reader = argument;
    long next[SENDERS] = { 0 };
    char line[4096];
    FILE *stream = fdopen(subscribe(port, reader->channel, "transport=sse&since=earliest"), "r");
    for (int taken = 0; taken < MESSAGES;) {
        MUST(fgets(line, sizeof line, stream));
        if (strstr(line, "text/event-stream"))
            tell_ready(reader);
        if (strncmp(line, "data: ", 6) == 0)
            check_next(next, line + 6, reader->channel), taken++;
        MUST(strstr(line, "event: gap") == NULL);
    }
    fclose(stream);
    return NULL;
}

/* One response of a kept connection; its body is a string that lives until the next. */
static char *response(FILE *stream)
{
    static __thread char *body;
    static __thread size_t size;
    char line[4096];
    size_t length = 0;
    MUST(fgets(line, sizeof line, stream) && strstr(line, " 200 "));
    while (fgets(line, sizeof line, stream) && strcmp(line, "\r\n") != 0)
        if (strncasecmp(line, "content-length:", 15) == 0)
            length = strtoul(line + 15, NULL, 10);
    if (size < length + 1)
        MUST((body = realloc(body, size = length + 1)) != NULL);
    MUST(fread(body, 1, length, stream) == length);
    body[length] = 0;
    return body;
}

static void *read_polls(void *argument)
{
    struct reader *reader = argument;
    long next[SENDERS] = { 0 };
    char cursor[256] = "earliest";
    int client = -1;
    FILE *stream = NULL;
    for (int taken = 0; taken < MESSAGES;) {
        if (stream == NULL) {
            client = ask(port, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            MUST((stream = fdopen(client, "r")) != NULL);
            response(stream);
            tell_ready(reader);
        }
        char request[1024];
        int length = snprintf(request, sizeof request,
            "GET /sub%s?transport=long-poll&since=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", reader->channel, cursor);
        MUST(write(client, request, (size_t)length) == length);
        char *at = response(stream);
        MUST(strstr(at, "\"gap\":false"));
        MUST(sscanf(strstr(at, "\"cursor\":\""), "\"cursor\":\"%255[^\"]", cursor) == 1);
        while ((at = strstr(at, "\"data\":\"")) != NULL)
            check_next(next, at += 8, reader->channel), taken++;
    }
    fclose(stream);
    return NULL;
}

static void begin(struct reader *reader, const char *channel, int long_poll)
{
    snprintf(reader->channel, sizeof reader->channel, "%s", channel);
    reader->long_poll = long_poll;
    MUST(pipe(reader->ready) == 0);
    MUST(pthread_create(&reader->thread, NULL, long_poll ? read_polls : read_stream, reader) == 0);
    char byte;
    MUST(read(reader->ready[0], &byte, 1) == 1);
}

static void publish(encke *encke, const char *channel, long sender, long count)
{
    for (long number = 0; number < count;) {
        char text[32];
        int length = snprintf(text, sizeof text, "%ld %ld", sender, number);
        int32_t code = encke_publish(encke, channel, strlen(channel), text, (size_t)length);
        if (code == ENCKE_OK) {
            number++;
            continue;
        }
        IS(code, ENCKE_EAGAIN);
        usleep(200);
    }
    IS(encke_flush(encke, PATIENCE_MS), ENCKE_OK);
}

static void *publish_a_share(void *sender)
{
    publish(server, "/threads", (long)sender, MESSAGES / SENDERS);
    return NULL;
}

int main(void)
{
    char options[512], path[64];
    snprintf(path, sizeof path, "/tmp/encke-order-%d.sock", (int)getpid());
    snprintf(options, sizeof options,
        "{\"listen\":\"127.0.0.1:0\",\"reactors\":2,\"control\":\"%s\",\"history_messages\":200000,\"history_bytes\":\"64MiB\"}", path);
    server = start(options);
    port = port_of(server);

    struct reader readers[6];
    static const char *channels[] = { "/one", "/threads", "/processes" };
    for (int reader = 0; reader < 6; reader++)
        begin(&readers[reader], channels[reader / 2], reader % 2);

    publish(server, "/one", 0, MESSAGES);

    pthread_t threads[SENDERS];
    for (long sender = 0; sender < SENDERS; sender++)
        MUST(pthread_create(&threads[sender], NULL, publish_a_share, (void *)sender) == 0);
    for (int sender = 0; sender < SENDERS; sender++)
        MUST(pthread_join(threads[sender], NULL) == 0);

    for (long sender = 0; sender < SENDERS; sender++) {
        pid_t child = fork();
        MUST(child >= 0);
        if (child == 0) {
            publish(server, "/processes", sender, MESSAGES / SENDERS);
            _exit(encke_stop(server, PATIENCE_MS) == ENCKE_OK ? 0 : 1);
        }
    }
    for (int sender = 0; sender < SENDERS; sender++) {
        int status;
        MUST(wait(&status) > 0 && status == 0);
    }
    for (int reader = 0; reader < 6; reader++)
        MUST(pthread_join(readers[reader].thread, NULL) == 0);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    return 0;
}
