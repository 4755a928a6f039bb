/* Whatever a host gets wrong is answered with a code, and the server goes on. */
#include "check.h"
#include <fcntl.h>

/* Every call on a handle, with arguments that are all good. */
static void each_answers(encke *handle, int32_t code)
{
    char text[4096];
    encke_event event = { 0 };
    encke_channel *channel = (encke_channel *)24;
    encke_message message = { .channel = "/a", .channel_len = 2, .data = "x", .data_len = 1 };
    IS(encke_channel_open(handle, TEXT("/a"), &channel), code);
    MUST(channel == (encke_channel *)24); /* written on success only */
    IS(encke_reload(handle, TEXT("{}")), code);
    IS(encke_publish(handle, TEXT("/a"), TEXT("x")), code);
    IS(encke_publish_with(handle, &message), code);
    IS(encke_publish_many(handle, &message, 1), code);
    IS(encke_publish_packed(handle, TEXT("\2\0\0\0\1\0\0\0/ax")), code);
    IS(encke_publish_split(handle, TEXT("/a"), TEXT("x\ny\n"), '\n'), code);
    IS(encke_event_fd(handle), code);
    IS(encke_next_event(handle, &event), code);
    IS(encke_answer(handle, 1, ENCKE_ALLOW), code);
    IS(encke_flush(handle, 1000), code);
    IS(encke_address(handle, text, sizeof text), code);
    IS(encke_stats(handle, text, sizeof text), code);
    encke_event_free(&event);
    MUST(strlen(encke_last_error()) > 0);
}

static void arguments(encke *server)
{
    static char large[2 << 20];
    memset(large, 'a', sizeof large);
    IS(encke_publish(server, NULL, 2, TEXT("x")), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/a"), NULL, 1), ENCKE_EINVAL);
    IS(encke_publish(server, NULL, 0, TEXT("x")), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/a"), NULL, 0), ENCKE_OK);
    IS(encke_publish(server, TEXT("no slash"), TEXT("x")), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/\xff\xfe"), TEXT("x")), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/\xed\xa0\x80"), TEXT("x")), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/a\0b"), TEXT("x")), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/a"), TEXT("\xff\0\xfe")), ENCKE_OK);
    IS(encke_publish(server, large, sizeof large, TEXT("x")), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/a"), large, sizeof large), ENCKE_EINVAL);
    /* Lengths that no memory has are not looked at. */
    IS(encke_publish(server, "/a", (size_t)4 << 30, TEXT("x")), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/a"), "x", (size_t)4 << 30), ENCKE_EINVAL);
    IS(encke_publish(server, TEXT("/a"), "x", SIZE_MAX), ENCKE_EINVAL);
    IS(encke_publish_split(server, TEXT("/a"), "x", SIZE_MAX, '\n'), ENCKE_EINVAL);
    IS(encke_publish_packed(server, "x", SIZE_MAX), ENCKE_EINVAL);
    IS(encke_publish_split(server, TEXT("/a"), "x", (size_t)4 << 30, '\n'), ENCKE_EINVAL);
    IS(encke_publish_packed(server, "\2\0\0\0\1\0\0\0/ax", (size_t)4 << 30), ENCKE_EINVAL);
    IS(encke_publish_packed(server, TEXT("\2\0\0\0")), ENCKE_EINVAL);
    IS(encke_publish_packed(server, TEXT("\2\0\0\0\377\377\377\377/ax")), ENCKE_EINVAL);
    IS(encke_publish_packed(server, NULL, 0), 0);
    IS(encke_publish_split(server, TEXT("/a"), NULL, 0, '\n'), 0);
    IS(encke_publish_split(server, TEXT("/a"), TEXT("1\n\n3"), '\n'), 3);

    encke_message messages[2] = {
        { .channel = "/a", .channel_len = 2, .data = "x", .data_len = 1 },
        { .channel = "/a", .channel_len = 2, .data = "{", .data_len = 1, .content_type = "application/json", .content_type_len = 16 },
    };
    IS(encke_publish_with(server, NULL), ENCKE_EINVAL);
    IS(encke_publish_with(server, &messages[1]), ENCKE_EINVAL);
    IS(encke_publish_with(server, (encke_message *)((char *)messages + 1)), ENCKE_EINVAL);
    IS(encke_publish_many(server, NULL, 2), ENCKE_EINVAL);
    IS(encke_publish_many(server, NULL, 0), 0);
    IS(encke_publish_many(server, messages, SIZE_MAX), ENCKE_EINVAL);
    IS(encke_publish_many(server, messages, (size_t)4 << 30), ENCKE_EINVAL);
    IS(encke_publish_many(server, messages, 2), 1);
    MUST(strlen(encke_last_error()) > 0);
    IS(encke_publish_many(server, messages + 1, 1), ENCKE_EINVAL);
    messages[0].event = "two\nlines", messages[0].event_len = 9;
    IS(encke_publish_with(server, messages), ENCKE_EINVAL);

    char small[2], text[4096];
    IS(encke_address(server, NULL, 9), ENCKE_EINVAL);
    IS(encke_address(server, small, sizeof small), ENCKE_EINVAL);
    MUST(encke_stats(server, text, sizeof text) > 0 && strstr(text, "\"published\":"));
    IS(encke_next_event(server, NULL), ENCKE_EINVAL);
    IS(encke_answer(server, 12345, ENCKE_ALLOW), ENCKE_OK);
    IS(encke_answer(server, UINT64_MAX, ENCKE_ALLOW), ENCKE_EINVAL);
    IS(encke_answer(server, 1, 2), ENCKE_EINVAL);
    encke_event_free(NULL);
    MUST(strlen(encke_strerror(ENCKE_EAGAIN)) > 0 && strlen(encke_strerror(12345)) > 0);
    IS(encke_abi_version(), ENCKE_ABI_VERSION);
}

static void channels(encke *server)
{
    static char large[2 << 20];
    memset(large, 'a', sizeof large);
    encke_channel *channel = NULL, *same = NULL;
    IS(encke_channel_open(server, NULL, 2, &channel), ENCKE_EINVAL);
    IS(encke_channel_open(server, NULL, 0, &channel), ENCKE_EINVAL);
    IS(encke_channel_open(server, TEXT("no slash"), &channel), ENCKE_EINVAL);
    IS(encke_channel_open(server, TEXT("/\xff\xfe"), &channel), ENCKE_EINVAL);
    IS(encke_channel_open(server, "/a", (size_t)4 << 30, &channel), ENCKE_EINVAL);
    IS(encke_channel_open(server, TEXT("/a"), NULL), ENCKE_EINVAL);
    IS(encke_channel_open(server, TEXT("/a"), (encke_channel **)((char *)&channel + 1)), ENCKE_EINVAL);
    MUST(channel == NULL);

    IS(encke_channel_open(server, TEXT("/a"), &channel), ENCKE_OK);
    IS(encke_channel_open(server, TEXT("/a"), &same), ENCKE_OK);
    MUST(channel != NULL && same != NULL && channel != same);
    IS(encke_channel_publish(channel, TEXT("x")), ENCKE_OK);
    IS(encke_channel_publish(channel, TEXT("\xff\0\xfe")), ENCKE_OK);
    IS(encke_channel_publish(channel, NULL, 0), ENCKE_OK);
    IS(encke_channel_publish(channel, NULL, 1), ENCKE_EINVAL);
    IS(encke_channel_publish(channel, "x", SIZE_MAX), ENCKE_EINVAL);
    IS(encke_channel_publish(channel, large, sizeof large), ENCKE_EINVAL);

    /* Closed, closed twice, and never one. */
    IS(encke_channel_close(channel), ENCKE_OK);
    IS(encke_channel_close(channel), ENCKE_ECLOSED);
    IS(encke_channel_publish(channel, TEXT("x")), ENCKE_ECLOSED);
    IS(encke_channel_publish(same, TEXT("x")), ENCKE_OK);
    void *none[] = { NULL, (void *)3, large, server };
    for (size_t at = 0; at < sizeof none / sizeof *none; at++) {
        IS(encke_channel_publish(none[at], TEXT("x")), ENCKE_EINVAL);
        IS(encke_channel_close(none[at]), ENCKE_EINVAL);
        MUST(strlen(encke_last_error()) > 0);
    }
    each_answers((encke *)same, ENCKE_EINVAL); /* a channel is no handle */
    IS(encke_channel_close(same), ENCKE_OK);
}

static void starts(void)
{
    encke *other = (encke *)16;
    IS(encke_start(TEXT("{"), &other), ENCKE_ECONFIG);
    IS(encke_start(TEXT("{\"reactors\":1000}"), &other), ENCKE_ECONFIG);
    MUST(strstr(encke_last_error(), "--reactors"));
    IS(encke_start(TEXT("{\"lisen\":\"127.0.0.1:0\"}"), &other), ENCKE_ECONFIG);
    MUST(strstr(encke_last_error(), "did you mean --listen?"));
    IS(encke_start(NULL, 5, &other), ENCKE_EINVAL);
    IS(encke_start("{}", SIZE_MAX, &other), ENCKE_EINVAL);
    IS(encke_start(TEXT("{}"), NULL), ENCKE_EINVAL);
    IS(encke_connect(TEXT("unix:/nowhere/at/all"), &other), ENCKE_ESYSTEM);
    IS(encke_connect(TEXT("gopher:"), &other), ENCKE_EINVAL);
    MUST(other == (encke *)16); /* written on success only */
}

int main(void)
{
    starts();
    encke *server = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2}");
    arguments(server);
    channels(server);

    /* Two starts with the same options are one server, which ends with the second stop. */
    encke *same = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2}");
    MUST(same == server);
    IS(encke_stop(same, 1000), ENCKE_OK);
    IS(encke_publish(server, TEXT("/a"), TEXT("x")), ENCKE_OK);

    /* Two servers on one port. */
    char options[128];
    encke *second;
    snprintf(options, sizeof options, "{\"listen\":\"127.0.0.1:%d\",\"reactors\":1}", port_of(server));
    IS(encke_start(options, strlen(options), &second), ENCKE_ESYSTEM);

    /* What is no handle, and what is none any more. */
    each_answers(NULL, ENCKE_EINVAL);
    each_answers((encke *)3, ENCKE_EINVAL);
    each_answers((encke *)options, ENCKE_EINVAL);
    IS(encke_stop(NULL, 10), ENCKE_EINVAL);
    IS(encke_stop((encke *)options, 10), ENCKE_EINVAL);
    encke_channel *known, *unknown;
    IS(encke_channel_open(server, TEXT("/a"), &known), ENCKE_OK);
    IS(encke_channel_open(server, TEXT("/a"), &unknown), ENCKE_OK);
    IS(encke_channel_publish(known, TEXT("x")), ENCKE_OK);
    IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    each_answers(server, ENCKE_ECLOSED);
    IS(encke_stop(server, 10), ENCKE_ECLOSED);
    IS(encke_channel_publish(known, TEXT("x")), ENCKE_ECLOSED);
    IS(encke_channel_publish(unknown, TEXT("x")), ENCKE_ECLOSED);
    IS(encke_channel_close(known), ENCKE_ECLOSED);
    IS(encke_channel_close(unknown), ENCKE_ECLOSED);

    /* A new server is another handle, and the old one stays gone. */
    encke *next = start("{\"listen\":\"127.0.0.1:0\",\"reactors\":2}");
    MUST(next != server);
    each_answers(server, ENCKE_ECLOSED);
    IS(encke_stop(next, PATIENCE_MS), ENCKE_OK);
    return 0;
}
