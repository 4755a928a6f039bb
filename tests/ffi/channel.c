/* Channels that are held open: more than a thread remembers, in one order with what is published by name. */
#include "check.h"
#include <pthread.h>

enum { CHANNELS = 200, ROUNDS = 20, MESSAGES = ROUNDS * 2 };

static encke *server;
static encke_channel *channels[CHANNELS];

static void publish(encke_channel *by, const char *name, int number)
{
    char text[16];
    size_t length = (size_t)snprintf(text, sizeof text, "m%03d.", number);
    int32_t code;
    do {
        code = by != NULL ? encke_channel_publish(by, text, length) : encke_publish(server, name, strlen(name), text, length);
    } while (code == ENCKE_EAGAIN);
    IS(code, ENCKE_OK);
}

/* Each thread has every second channel, and publishes to them in turn: by the channel, then by its name. */
static void *life(void *argument)
{
    for (int round = 0; round < ROUNDS; round++)
        for (long at = (long)argument; at < CHANNELS; at += 2) {
            char name[32];
            snprintf(name, sizeof name, "/c/%ld", at);
            publish(channels[at], NULL, round * 2);
            publish(NULL, name, round * 2 + 1);
        }
    return NULL;
}

int main(void)
{
    static char seen[65536];
    char name[32];
    server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2,\"mailbox_messages\":64}");
    for (int at = 0; at < CHANNELS; at++) {
        int length = snprintf(name, sizeof name, "/c/%d", at);
        IS(encke_channel_open(server, name, (size_t)length, &channels[at]), ENCKE_OK);
    }
    pthread_t threads[2];
    for (long number = 0; number < 2; number++)
        MUST(pthread_create(&threads[number], NULL, life, (void *)number) == 0);
    for (int number = 0; number < 2; number++)
        MUST(pthread_join(threads[number], NULL) == 0);
    IS(encke_flush(server, PATIENCE_MS), ENCKE_OK);

    for (int at = 0; at < CHANNELS; at++) {
        char last[16];
        snprintf(name, sizeof name, "/c/%d", at);
        snprintf(last, sizeof last, "m%03d.", MESSAGES - 1);
        int reader = subscribe(port_of(server), name, "transport=sse&since=earliest");
        await(reader, last, seen, sizeof seen);
        const char *found = seen;
        for (int number = 0; number < MESSAGES; number++) {
            char text[16];
            snprintf(text, sizeof text, "m%03d.", number);
            found = strstr(found, text);
            MUST(found != NULL);
        }
        close(reader);
        IS(encke_channel_close(channels[at]), ENCKE_OK);
        IS(encke_channel_publish(channels[at], TEXT("x")), ENCKE_ECLOSED);
    }
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    return 0;
}
