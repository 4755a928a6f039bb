/*
 * Decides who may subscribe: the channels under /private are for those who know the word. Each question comes as
 * an event once the descriptor polls readable; the client waits until it is answered.
 *
 *     ./judge
 *     curl -N 'http://127.0.0.1:PORT/sub/private/news?transport=sse&word=please'
 */
#include "encke.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t over;

static void on_signal(int signal)
{
    over = signal;
}

/* event->request is JSON that says who asks: {"address":…,"transport":…,"query":"word=please","headers":{…}} */
static int knows_the_word(const encke_event *event)
{
    static const char word[] = "word=please";
    for (size_t at = 0; at + sizeof word - 1 <= event->request_len; at++)
        if (memcmp(event->request + at, word, sizeof word - 1) == 0)
            return ENCKE_ALLOW;
    return ENCKE_DENY;
}

int main(void)
{
    static const char options[] = "{\"listen\":\"127.0.0.1:0\",\"judge\":\"/private/**\",\"judge_timeout\":\"3s\"}";
    encke *server;
    if (encke_start(options, sizeof options - 1, &server) != ENCKE_OK) {
        fprintf(stderr, "encke_start: %s\n", encke_last_error());
        return 1;
    }
    char address[4096];
    encke_address(server, address, sizeof address);
    printf("listening on %s\n", address);
    fflush(stdout);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);

    struct pollfd events = { .fd = encke_event_fd(server), .events = POLLIN };
    while (!over) {
        poll(&events, 1, 1000);
        encke_event event;
        while (encke_next_event(server, &event) == 1) {
            if (event.kind == ENCKE_EVENT_SUBSCRIBE) {
                int verdict = knows_the_word(&event);
                printf("%s %.*s\n", verdict ? "allowed" : "denied", (int)event.channel_len, event.channel);
                fflush(stdout);
                encke_answer(server, event.question, verdict);
            }
            encke_event_free(&event);
        }
    }
    return encke_stop(server, 5000) == ENCKE_OK ? 0 : 1;
}
