/* Started and stopped again and again, with a client each time. */
#include "check.h"

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    for (int round = 0; round < rounds; round++) {
        char seen[8192];
        encke *server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2,\"mailbox_messages\":256,\"events\":\"subscribed\"}");
        int client = subscribe(port_of(server), "/a", "transport=long-poll");
        encke_event event;
        next_event(server, ENCKE_EVENT_SUBSCRIBED, &event);
        IS(encke_publish(server, TEXT("/a"), TEXT("hello")), ENCKE_OK);
        await(client, "hello", seen, sizeof seen);
        close(client);
        IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
        MUST(event.channel_len == 2 && memcmp(event.channel, "/a", 2) == 0); /* it outlives the handle */
        encke_event_free(&event);
        encke_event_free(&event);
    }
    return 0;
}
