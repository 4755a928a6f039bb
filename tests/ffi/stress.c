/* Eight threads publish, flush, look and stop at once, again and again: each call is answered, no handle is misused. */
#include "check.h"
#include <pthread.h>

enum { THREADS = 8, EACH = 3000 };

static encke *server;
/* One for all, which any of them may close. */
static encke_channel *shared;

static void *life(void *argument)
{
    long number = (long)argument, taken = 0;
    char text[4096], channel[16];
    int length = snprintf(channel, sizeof channel, "/t/%ld", number);
    for (int turn = 0; turn < EACH; turn++) {
        int32_t code = encke_publish(server, channel, (size_t)length, TEXT("some words"));
        MUST(code == ENCKE_OK || code == ENCKE_EAGAIN || code == ENCKE_ECLOSED);
        taken += code == ENCKE_OK;
        code = encke_channel_publish(shared, TEXT("words for all"));
        MUST(code == ENCKE_OK || code == ENCKE_EAGAIN || code == ENCKE_ECLOSED);
        if (turn % 7 == number % 7) {
            encke_channel *own;
            code = encke_channel_open(server, channel, (size_t)length, &own);
            MUST(code == ENCKE_OK || code == ENCKE_ECLOSED);
            if (code == ENCKE_OK) {
                code = encke_channel_publish(own, TEXT("some more"));
                MUST(code == ENCKE_OK || code == ENCKE_EAGAIN || code == ENCKE_ECLOSED);
                code = encke_channel_close(own);
                MUST(code == ENCKE_OK || code == ENCKE_ECLOSED);
            }
        }
        if (turn == EACH / 2) {
            code = encke_channel_close(shared);
            MUST(code == ENCKE_OK || code == ENCKE_ECLOSED);
        }
        if (turn % 97 == number)
            code = encke_flush(server, 20);
        if (turn % 31 == number)
            encke_stats(server, text, sizeof text);
        if (turn % 53 == number) {
            encke_event event;
            if (encke_next_event(server, &event) == 1)
                encke_event_free(&event);
            encke_answer(server, (uint64_t)turn, turn & 1);
        }
        if (turn % 11 == number)
            MUST(encke_publish_split(server, channel, (size_t)length, TEXT("a\nb\nc\n"), '\n') >= ENCKE_ETIMEDOUT);
    }
    /* Half of them stop it under the others' hands; the first has its way. */
    if (number % 2) {
        int32_t code = encke_stop(server, 1000);
        MUST(code == ENCKE_OK || code == ENCKE_ECLOSED || code == ENCKE_ETIMEDOUT);
    }
    return (void *)taken;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    for (int round = 0; round < rounds; round++) {
        pthread_t threads[THREADS];
        server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2,\"events\":\"subscribed,gone,log\",\"mailbox_messages\":256}");
        IS(encke_channel_open(server, TEXT("/t"), &shared), ENCKE_OK);
        long taken = 0;
        for (long number = 0; number < THREADS; number++)
            MUST(pthread_create(&threads[number], NULL, life, (void *)number) == 0);
        for (int number = 0; number < THREADS; number++) {
            void *result;
            MUST(pthread_join(threads[number], &result) == 0);
            taken += (long)result;
        }
        MUST(taken > 0);
        IS(encke_publish(server, TEXT("/a"), TEXT("x")), ENCKE_ECLOSED);
    }
    return 0;
}
