/* A thread that waits for events, as long as it takes, is woken by a stop in another thread, and told. */
#include "check.h"
#include <pthread.h>

enum { THREADS = 2 };

static encke *server;
static int ready[2];

static void *waits(void *argument)
{
    struct pollfd readable = { .fd = encke_event_fd(server), .events = POLLIN };
    encke_event event;
    int32_t found = encke_next_event(server, &event);
    (void)argument;
    MUST(write(ready[1], "", 1) == 1);
    while (found == 0) {
        MUST(poll(&readable, 1, -1) == 1);
        found = encke_next_event(server, &event);
    }
    IS(found, ENCKE_ECLOSED);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    char byte;
    server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":1}");
    MUST(pipe(ready) == 0);
    for (int thread = 0; thread < THREADS; thread++)
        MUST(pthread_create(&threads[thread], NULL, waits, NULL) == 0);
    for (int thread = 0; thread < THREADS; thread++)
        MUST(read(ready[0], &byte, 1) == 1);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    for (int thread = 0; thread < THREADS; thread++)
        MUST(pthread_join(threads[thread], NULL) == 0);
    return 0;
}
