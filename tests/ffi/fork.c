/* What a child finds of its parent's handles, and that the parent notices nothing of its child. */
#include "check.h"
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

static void without_a_socket(encke *server)
{
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
    encke *own = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":1}");
    IS(encke_publish(own, TEXT("/a"), TEXT("child's")), ENCKE_OK);
    IS(encke_stop(own, PATIENCE_MS), ENCKE_OK);
}

static void with_a_socket(encke *server)
{
    IS(encke_publish(server, TEXT("/a"), TEXT("from a child")), ENCKE_OK);
    IS(encke_publish_split(server, TEXT("/a"), TEXT("two\nmore\n"), '\n'), 2);
    IS(encke_flush(server, PATIENCE_MS), ENCKE_OK);
    IS(encke_event_fd(server), ENCKE_EINVAL); /* a connection has no events */
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
}

/* Its copies of the parent's descriptors must not keep the parent's connections open. */
static void lives_until_told(encke *server)
{
    (void)server;
    char byte;
    MUST(read(STDIN_FILENO, &byte, 1) == 0);
}

int main(void)
{
    char seen[65536], path[64], options[256];
    encke *server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":1}");
    int reader = subscribe(port_of(server), "/a", "transport=sse");
    await(reader, "text/event-stream", seen, sizeof seen);
    IS(child_of(without_a_socket, server), 0);
    IS(encke_publish(server, TEXT("/a"), TEXT("parent")), ENCKE_OK);
    await(reader, "data: parent", seen, sizeof seen);
    MUST(strstr(seen, "child") == NULL);

    /* A child that lives on holds copies of all descriptors; the stop must be seen all the same. */
    int told[2];
    MUST(pipe(told) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        end_in_time();
        dup2(told[0], STDIN_FILENO), close(told[0]), close(told[1]);
        lives_until_told(server);
        _exit(0);
    }
    close(told[0]);
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
    IS(child_of(with_a_socket, server), 0);
    await(reader, "data: more", seen, sizeof seen);
    MUST(strstr(seen, "data: from a child") && strstr(seen, "data: two"));

    char connect_to[80];
    encke *connected;
    snprintf(connect_to, sizeof connect_to, "unix:%s", path);
    IS(encke_connect(connect_to, strlen(connect_to), &connected), ENCKE_OK);
    IS(encke_publish(connected, TEXT("/a"), TEXT("from a connection")), ENCKE_OK);
    IS(encke_flush(connected, PATIENCE_MS), ENCKE_OK);
    IS(child_of(with_a_socket, connected), 0);
    IS(encke_publish(connected, TEXT("/a"), TEXT("the last")), ENCKE_OK);
    IS(encke_stop(connected, PATIENCE_MS), ENCKE_OK);
    await(reader, "data: the last", seen, sizeof seen);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    return 0;
}
