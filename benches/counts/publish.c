/* What callgrind counts of the C library: messages of 100 bytes, each published by a call, on a reactor of its own. */
#include "encke.h"
#include <stdio.h>
#include <string.h>

enum { RUN = 1000 };

static const char OPTIONS[] = "{\"listen\":\"127.0.0.1:0\",\"reactors\":1}";
static const char CHANNEL[] = "/bench/ab";
static char data[100];
static encke *server;

/* Fewer messages than a mailbox has room for. */
__attribute__((noinline)) static int counted(void)
{
    int failed = 0;
    for (int i = 0; i < RUN; i++)
        failed |= encke_publish(server, CHANNEL, sizeof CHANNEL - 1, data, sizeof data) != ENCKE_OK;
    return failed;
}

int main(void)
{
    memset(data, 'x', sizeof data);
    int failed = encke_start(OPTIONS, sizeof OPTIONS - 1, &server) != ENCKE_OK;
    /* The first run, which finds everything cold, is not taken. */
    for (int i = 0; i < 5 && !failed; i++)
        failed = counted() || encke_flush(server, 10000) != ENCKE_OK;
    if (failed)
        fprintf(stderr, "%s\n", encke_last_error());
    printf("%d\n", RUN);
    return failed || encke_stop(server, 1000) != ENCKE_OK;
}
