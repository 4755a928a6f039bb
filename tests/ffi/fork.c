/* What a child finds of its parent's handles, and that the parent notices nothing of its child. */
#include "check.h"
#include <sys/resource.h>
#include <sys/wait.h>

static int child_of(void (*life)(encke *), encke *server)
{
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        end_in_time();
        life(server);
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child);
    return status;
}

static const char OPTIONS[] = "{\"listen\":\"127.0.0.1:0\",\"reactors\":1,\"events\":\"log\"}";

/* A connection that cannot be accepted, since there is no descriptor left, is a line of the log. */
static void hears_the_log(encke *server)
{
    struct rlimit before, none;
    MUST(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before, none.rlim_cur = 3;
    int port = port_of(server), client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MUST(setrlimit(RLIMIT_NOFILE, &none) == 0);
    MUST(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    encke_event event;
    next_event(server, ENCKE_EVENT_LOG, &event);
    MUST(memmem(event.data, event.data_len, TEXT("cannot accept connections")));
    encke_event_free(&event);
    MUST(setrlimit(RLIMIT_NOFILE, &before) == 0 && close(client) == 0);
}

/* Opened in the parent. */
static encke_channel *channel;

static void without_a_socket(encke *server)
{
    encke_channel *none = NULL;
    IS(encke_channel_publish(channel, TEXT("child")), ENCKE_ECHILD);
    IS(encke_channel_open(server, TEXT("/a"), &none), ENCKE_ECHILD);
    IS(encke_reload(server, TEXT("{}")), ENCKE_ECHILD);
    IS(encke_channel_close(channel), ENCKE_OK);
    char text[4096];
    encke_event event;
    IS(encke_publish(server, TEXT("/a"), TEXT("child")), ENCKE_ECHILD);
    IS(encke_flush(server, 10), ENCKE_ECHILD);
    IS(encke_event_fd(server), ENCKE_ECHILD);
    IS(encke_next_event(server, &event), ENCKE_ECHILD);
    IS(encke_address(server, text, sizeof text), ENCKE_ECHILD);
    IS(encke_stop(server, 1000), ENCKE_OK);
    IS(encke_publish(server, TEXT("/a"), TEXT("child")), ENCKE_ECLOSED);
    /* A server of the child's own, with the same options. */
    encke *own = start(OPTIONS);
    IS(encke_publish(own, TEXT("/a"), TEXT("child's")), ENCKE_OK);
    hears_the_log(own);
    IS(encke_stop(own, PATIENCE_MS), ENCKE_OK);
}

static void with_a_socket(encke *server)
{
    IS(encke_publish(server, TEXT("/a"), TEXT("from a child")), ENCKE_OK);
    IS(encke_channel_publish(channel, TEXT("by its channel")), ENCKE_OK);
    IS(encke_publish_split(server, TEXT("/a"), TEXT("two\nmore\n"), '\n'), 2);
    IS(encke_flush(server, PATIENCE_MS), ENCKE_OK);
    IS(encke_event_fd(server), ENCKE_EINVAL); /* a connection has no events */
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
}

/* A child that lives until told[1] is closed. Its copies of descriptors must not keep the parent's connections open. */
static pid_t one_that_lives(int told[2])
{
    MUST(pipe(told) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        end_in_time();
        close(told[1]);
        char byte;
        MUST(read(told[0], &byte, 1) == 0);
        _exit(0);
    }
    close(told[0]);
    return child;
}

int main(void)
{
    char seen[65536], path[64], options[256];
    encke *server = start(OPTIONS);
    hears_the_log(server);
    int reader = subscribe(port_of(server), "/a", "transport=sse");
    await(reader, "text/event-stream", seen, sizeof seen);
    IS(encke_channel_open(server, TEXT("/a"), &channel), ENCKE_OK);
    IS(child_of(without_a_socket, server), 0);
    IS(encke_channel_publish(channel, TEXT("parent")), ENCKE_OK);
    await(reader, "data: parent", seen, sizeof seen);
    MUST(strstr(seen, "child") == NULL);

    /* A child that lives on holds copies of all descriptors; the stop must be seen all the same. */
    int told[2];
    pid_t child = one_that_lives(told);
    int port = port_of(server);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    char rest[4096];
    ssize_t count;
    struct pollfd readable = { .fd = reader, .events = POLLIN };
    do {
        MUST(poll(&readable, 1, PATIENCE_MS) == 1);
        count = read(reader, rest, sizeof rest);
    } while (count > 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int late = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(late, (struct sockaddr *)&address, sizeof address) < 0);
    close(told[1]);
    int status;
    MUST(waitpid(child, &status, 0) == child && status == 0);

    /* With a control socket a child publishes through it, and a handle of encke_connect is a child's own. */
    snprintf(path, sizeof path, "/tmp/encke-fork-%d.sock", (int)getpid());
    snprintf(options, sizeof options, "{\"listen\":\"127.0.0.1:0\",\"reactors\":2,\"control\":\"%s\"}", path);
    server = start(options);
    reader = subscribe(port_of(server), "/a", "transport=sse");
    await(reader, "text/event-stream", seen, sizeof seen);
    IS(encke_channel_open(server, TEXT("/a"), &channel), ENCKE_OK);
    IS(child_of(with_a_socket, server), 0);
    await(reader, "data: more", seen, sizeof seen);
    MUST(strstr(seen, "data: from a child") && strstr(seen, "data: by its channel") && strstr(seen, "data: two"));

    char connect_to[80];
    encke *connected;
    snprintf(connect_to, sizeof connect_to, "unix:%s", path);
    IS(encke_connect(connect_to, strlen(connect_to), &connected), ENCKE_OK);
    IS(encke_publish(connected, TEXT("/a"), TEXT("from a connection")), ENCKE_OK);
    IS(encke_flush(connected, PATIENCE_MS), ENCKE_OK);
    IS(encke_channel_open(connected, TEXT("/a"), &channel), ENCKE_OK);
    IS(encke_channel_publish(channel, TEXT("by a connection's channel")), ENCKE_OK);
    IS(child_of(with_a_socket, connected), 0);
    IS(encke_publish(connected, TEXT("/a"), TEXT("the last")), ENCKE_OK);

    /* A stopped connection is over for the server though a child lives on with a copy of it; the reader stays. */
    child = one_that_lives(told);
    IS(encke_stop(connected, PATIENCE_MS), ENCKE_OK);
    await(reader, "data: the last", seen, sizeof seen);
    do {
        IS(encke_flush(server, PATIENCE_MS), ENCKE_OK);
        MUST(encke_stats(server, seen, sizeof seen) > 0);
    } while (strstr(seen, "\"connections\":1,") == NULL);
    close(told[1]);
    MUST(waitpid(child, &status, 0) == child && status == 0);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    return 0;
}
