/*
 * Publishes each line of its input to a channel that a browser or curl can listen to. Prints where.
 *
 *     vmstat 1 | ./publish
 *     ./publish '{"listen":"0.0.0.0:8080"}' /weather < forecast.txt
 */
#include "encke.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, encke_last_error());
    return 1;
}

int main(int argc, char **argv)
{
    const char *options = argc > 1 ? argv[1] : "{\"listen\":\"127.0.0.1:0\"}";
    const char *channel = argc > 2 ? argv[2] : "/lines";
    encke *server;
    if (encke_start(options, strlen(options), &server) != ENCKE_OK)
        return failed("encke_start");

    char address[4096];
    if (encke_address(server, address, sizeof address) < 0)
        return failed("encke_address");
    printf("listening on %s, channel %s\n", address, channel);
    fflush(stdout);

    char line[65536];
    while (fgets(line, sizeof line, stdin)) {
        size_t length = strcspn(line, "\n");
        int32_t code;
        /* No room: the reactors are busy for a moment. Nothing was taken, so try again. */
        while ((code = encke_publish(server, channel, strlen(channel), line, length)) == ENCKE_EAGAIN)
            usleep(1000);
        if (code != ENCKE_OK)
            return failed("encke_publish");
    }
    /* Whoever is still reading gets what it has not got, for 5 seconds at most. */
    return encke_stop(server, 5000) == ENCKE_OK ? 0 : failed("encke_stop");
}
