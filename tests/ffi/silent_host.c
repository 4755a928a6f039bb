/* A host that is asked and never answers: after the limit the default is the answer, and a late one changes nothing. */
#include "check.h"

int main(void)
{
    static const struct { const char *word, *status; } defaults[] = { { "deny", " 403 " }, { "allow", " 200 " } };
    for (int which = 0; which < 2; which++) {
        char options[256], seen[8192];
        snprintf(options, sizeof options,
            "{\"listen\":\"127.0.0.1:0\",\"reactors\":1,\"judge\":\"/**\",\"judge_timeout\":\"200ms\",\"judge_default\":\"%s\"}",
            defaults[which].word);
        encke *server = start(options);
        int client = subscribe(port_of(server), "/a", "transport=sse&user=ann");
        encke_event event;
        next_event(server, ENCKE_EVENT_SUBSCRIBE, &event);
        MUST(event.question != 0 && event.client != 0);
        MUST(event.channel_len == 2 && memcmp(event.channel, "/a", 2) == 0);
        MUST(memmem(event.request, event.request_len, TEXT("user=ann")));
        await(client, "\r\n\r\n", seen, sizeof seen);
        MUST(strstr(seen, defaults[which].status));
        IS(encke_answer(server, event.question, !which), ENCKE_OK);
        encke_event_free(&event);
        close(client);
        IS(encke_stop(server, PATIENCE_MS), ENCKE_OK);
    }
    return 0;
}
