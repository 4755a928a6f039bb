/* Ten million messages and ten thousand subscribers later, memory is where it was. */
#include "check.h"

static long resident_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "r");
    MUST(status != NULL);
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "VmRSS: %ld kB", &kib) == 1)
            break;
    fclose(status);
    return kib;
}

static void publish(encke *server, long count)
{
    char data[100];
    memset(data, 'x', sizeof data);
    encke_channel *channel = NULL;
    for (long sent = 0; sent < count;) {
        /* Every second one by a channel, and a new channel now and then. */
        if (sent % 100 == 0) {
            if (channel != NULL)
                IS(encke_channel_close(channel), ENCKE_OK);
            IS(encke_channel_open(server, TEXT("/a"), &channel), ENCKE_OK);
        }
        int32_t code = sent % 2 ? encke_channel_publish(channel, data, sizeof data)
                                : encke_publish(server, TEXT("/a"), data, sizeof data);
        if (code == ENCKE_OK) {
            sent++;
            continue;
        }
        IS(code, ENCKE_EAGAIN);
        usleep(100);
    }
    IS(encke_channel_close(channel), ENCKE_OK);
    IS(encke_flush(server, PATIENCE_MS), ENCKE_OK);
}

static void come_and_go(encke *server, int count)
{
    enum { AT_ONCE = 500 };
    static int clients[AT_ONCE];
    char seen[65536];
    int port = port_of(server);
    for (int done = 0; done < count; done += AT_ONCE) {
        for (int client = 0; client < AT_ONCE; client++)
            clients[client] = subscribe(port, "/a", "transport=sse");
        for (int client = 0; client < AT_ONCE; client++)
            await(clients[client], "text/event-stream", seen, sizeof seen);
        publish(server, 1);
        for (int client = 0; client < AT_ONCE; client++) {
            await(clients[client], "data: x", seen, sizeof seen);
            close(clients[client]);
        }
    }
    /* Gone here is not yet gone there: wait for the server to have seen it. */
    char stats[4096];
    for (int look = 0; look < PATIENCE_MS; look++) {
        MUST(encke_stats(server, stats, sizeof stats) > 0);
        if (strstr(stats, "\"connections\":0,"))
            return;
        publish(server, 1);
        poll(NULL, 0, 1);
    }
    MUST(!"all connections ended");
}

int main(int argc, char **argv)
{
    long messages = argc > 1 ? atol(argv[1]) : 10000000;
    int subscribers = argc > 2 ? atoi(argv[2]) : 10000;
    /* Mailboxes that are small, so that how full they once were does not show. */
    encke *server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2,\"mailbox_messages\":1024}");
    /* What is taken once and kept: buffers, tables, a full history, the mailboxes' pages. */
    publish(server, 300000);
    come_and_go(server, 1000);
    long before = resident_kib();
    publish(server, messages);
    come_and_go(server, subscribers);
    publish(server, 300000);
    long after = resident_kib();
    printf("resident before %ld KiB, after %ld KiB\n", before, after);
    MUST(after < before + 2048);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    return 0;
}
