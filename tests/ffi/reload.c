/* A server goes on with other options: they hold when the call returns, and whoever is connected stays. */
#include "check.h"

int main(void)
{
    static char seen[65536], long_text[2000];
    memset(long_text, 'x', sizeof long_text);
    encke *server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2}");
    int port = port_of(server), reader = subscribe(port, "/a", "transport=sse");
    await(reader, "text/event-stream", seen, sizeof seen);
    IS(encke_publish(server, TEXT("/a"), long_text, sizeof long_text), ENCKE_OK);

    IS(encke_reload(server, TEXT("{\"listen\":\"127.0.0.1:0\",\"reactors\":2,\"body_bytes_max\":\"1KiB\",\"anonymous_subscribe\":\"/a\"}")), 0);
    IS(encke_publish(server, TEXT("/a"), long_text, sizeof long_text), ENCKE_EINVAL);
    MUST(strstr(encke_last_error(), "1024"));
    int stranger = subscribe(port, "/b", "transport=poll");
    await(stranger, "HTTP/1.1 40", seen, sizeof seen);
    close(stranger);
    IS(encke_publish(server, TEXT("/a"), TEXT("who stayed")), ENCKE_OK);
    await(reader, "data: who stayed", seen, sizeof seen);

    /* What is wrong changes nothing, and all of it is told. */
    IS(encke_reload(server, TEXT("{\"body_bytes_max\":\"1MiB\",\"jitter\":99,\"hartbeat\":\"1s\"}")), ENCKE_ECONFIG);
    MUST(strstr(encke_last_error(), "--jitter") && strstr(encke_last_error(), "did you mean --heartbeat?"));
    IS(encke_reload(server, TEXT("{")), ENCKE_ECONFIG);
    IS(encke_reload(server, NULL, 5), ENCKE_EINVAL);
    IS(encke_reload(server, "{}", SIZE_MAX), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/a"), long_text, sizeof long_text), ENCKE_EINVAL);

    /* What lasts until a restart is named; the rest has its default again. */
    IS(encke_reload(server, TEXT("{\"listen\":\"127.0.0.1:1\",\"reactors\":1}")), 2);
    MUST(strcmp(encke_last_error(), "listen\nreactors") == 0);
    MUST(port_of(server) == port);
    IS(encke_publish(server, TEXT("/a"), long_text, sizeof long_text), ENCKE_OK);

    /* What it was started with is still what it is found by. */
    MUST(start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2}") == server);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    return 0;
}
