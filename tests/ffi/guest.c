/* The library is a polite guest: signals, locale, stdout, environment and descriptors are the host's as before. */
#include "check.h"
#include <locale.h>
#include <signal.h>

static int handled;

static void on_signal(int signal)
{
    handled += signal > 0;
}

int main(void)
{
    struct sigaction before[65] = { 0 };
    setlocale(LC_ALL, "C");
    MUST(signal(SIGUSR1, on_signal) != SIG_ERR);
    for (int number = 1; number < 65; number++)
        sigaction(number, NULL, &before[number]);
    sigset_t mask, same;
    sigemptyset(&mask);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), out[2];
    MUST(pipe(out) == 0 && dup2(out[1], STDOUT_FILENO) >= 0);

    encke *server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":1,\"events\":\"subscribed,unsubscribed,gone,log\"}");
    /* Clients that go away in the middle of what they are sent: a plain write would raise SIGPIPE and end us here. */
    static char large[512 << 10];
    memset(large, 'x', sizeof large);
    for (int round = 0; round < 20; round++) {
        int client = subscribe(port_of(server), "/a", "transport=sse");
        char seen[8192];
        await(client, "text/event-stream", seen, sizeof seen);
        struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        for (int message = 0; message < 8; message++)
            encke_publish(server, TEXT("/a"), large, sizeof large);
        close(client);
        encke_publish(server, TEXT("/a"), large, sizeof large);
        IS(encke_flush(server, PATIENCE_MS), ENCKE_OK);
    }
    /* A signal to the process stays with the threads of the host, here one that does not take it. */
    sigset_t usr1, pending;
    sigemptyset(&usr1), sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    kill(getpid(), SIGUSR1);
    IS(encke_publish(server, TEXT("/a"), TEXT("x")), ENCKE_OK);
    IS(encke_flush(server, PATIENCE_MS), ENCKE_OK);
    MUST(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) && handled == 0);
    signal(SIGUSR1, SIG_IGN); /* which forgets it */
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    signal(SIGUSR1, on_signal);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);

    MUST(dup2(saved, STDOUT_FILENO) >= 0 && close(saved) == 0 && close(out[1]) == 0);
    char printed;
    MUST(read(out[0], &printed, 1) == 0); /* nothing */
    for (int number = 1; number < 65; number++) {
        struct sigaction after = { 0 };
        sigaction(number, NULL, &after);
        MUST(after.sa_handler == before[number].sa_handler);
    }
    sigemptyset(&same);
    pthread_sigmask(SIG_BLOCK, NULL, &same);
    MUST(memcmp(&mask, &same, sizeof mask) == 0);
    MUST(strcmp(setlocale(LC_ALL, NULL), "C") == 0);
    MUST(handled == 0);
    return 0;
}
