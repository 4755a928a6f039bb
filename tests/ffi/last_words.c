/* What is published right before a stop still comes to those who wait for it, in whichever reactor they are. */
#include "check.h"
#include <pthread.h>

enum { CLIENTS = 4 };

static void *reads_to_the_end(void *argument)
{
    int client = *(int *)argument;
    char seen[8192];
    await(client, "data: the last words", seen, sizeof seen);
    while (read(client, seen, sizeof seen) > 0)
        ;
    close(client);
    return NULL;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    for (int round = 0; round < rounds; round++) {
        encke *server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2}");
        int clients[CLIENTS];
        pthread_t threads[CLIENTS];
        char seen[8192];
        for (int client = 0; client < CLIENTS; client++) {
            clients[client] = subscribe(port_of(server), "/a", "transport=sse");
            await(clients[client], "id: ", seen, sizeof seen);
            MUST(pthread_create(&threads[client], NULL, reads_to_the_end, &clients[client]) == 0);
        }
        IS(encke_publish(server, TEXT("/a"), TEXT("the last words")), ENCKE_OK);
        IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
        for (int client = 0; client < CLIENTS; client++)
            MUST(pthread_join(threads[client], NULL) == 0);
    }
    return 0;
}
