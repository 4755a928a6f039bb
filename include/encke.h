/*
 * libencke: the Comet server Encke inside a program.
 *
 *     encke *server;
 *     const char *options = "{\"listen\":\"127.0.0.1:8080\"}";
 *     if (encke_start(options, strlen(options), &server) != ENCKE_OK)
 *         return fprintf(stderr, "%s\n", encke_last_error()), 1;
 *     encke_publish(server, "/news", 5, "hello", 5);
 *     encke_stop(server, 5000);
 *
 * Link with -lencke. Calls return 0 (or a count) on success and a negative encke_code on failure; encke_last_error
 * has the detail. All texts are given with their length and need no NUL. A handle may be used from any number of
 * threads at once, but not in a signal handler; encke_start, encke_connect, encke_reload, encke_flush and encke_stop
 * are the only calls that may block. No thread of the library ever runs code of the host: what the host must hear it pulls
 * (encke_event_fd, encke_next_event).
 *
 * A handle does not survive fork: in the child it answers ENCKE_ECHILD, or goes over to the server's control
 * socket if the option control names one. So does a handle of encke_connect. The first call of such a child connects,
 * as encke_connect does, and answers ENCKE_ESYSTEM if nobody listens there.
 *
 * Whatever a call returns by its own text: any call answers ENCKE_EPANIC after a defect of the library, and one with a
 * handle ENCKE_EINVAL if it is none, ENCKE_ECLOSED if it was stopped.
 *
 * Made from src/ffi by "UPDATE=1 cargo test --test header"; do not edit. The constants are enums and no text is
 * conditional, so that PHP's FFI and Python's cffi read the same text (encke_cdef).
 */

#ifndef ENCKE_H
#define ENCKE_H

#include <stddef.h>
#include <stdint.h>

/** What calls return: 0 for success, else one of these, which are never reused. */
typedef enum {
    /** It was done. */
    ENCKE_OK = 0,
    /** The system refused something: an address in use, a socket that nobody listens on. */
    ENCKE_ESYSTEM = -5,
    /** The handle is of a server that runs in this process's parent. */
    ENCKE_ECHILD = -10,
    /** No room just now: nothing was taken, try again shortly. */
    ENCKE_EAGAIN = -11,
    /** An argument is no good: a null pointer, no UTF-8, too long, not a channel name. */
    ENCKE_EINVAL = -22,
    /** The server has stopped, or its connection broke and what was sent last may be lost. */
    ENCKE_ECLOSED = -32,
    /** An option is unknown or out of its bounds. */
    ENCKE_ECONFIG = -78,
    /** A defect of the library: of this handle, only encke_stop works from here on. */
    ENCKE_EPANIC = -99,
    /** It did not happen in the time given. */
    ENCKE_ETIMEDOUT = -110,
} encke_code;

/** The version of this interface: functions and codes are added to it, never changed. */
typedef enum {
    /** What encke_abi_version returns for the library that this header came with. */
    ENCKE_ABI_VERSION = 1,
} encke_abi;

/** What an event tells. */
typedef enum {
    /**
     * A client wants to subscribe to a channel that the option judge names: encke_answer its question. It waits for
     * the option judge_timeout at most, then judge_default is the answer.
     */
    ENCKE_EVENT_SUBSCRIBE = 1,
    /** A client published data to a channel that the option host_channels names; no subscriber got it. */
    ENCKE_EVENT_PUBLISH = 2,
    /** A client has a position in a channel (option events). */
    ENCKE_EVENT_SUBSCRIBED = 3,
    /** It has left that channel; comes once for each ENCKE_EVENT_SUBSCRIBED (option events). */
    ENCKE_EVENT_UNSUBSCRIBED = 4,
    /** A client's connection has closed (option events). */
    ENCKE_EVENT_GONE = 5,
    /** data is a line of the log (option events). */
    ENCKE_EVENT_LOG = 6,
    /** data says, in decimal, how many events found no room (option events_max) and are lost. */
    ENCKE_EVENT_OVERFLOW = 7,
    /** A reactor failed, data says how: the server has stopped. */
    ENCKE_EVENT_FAILED = 8,
    /** The user that data names is present in a channel that the option presence names (option events). */
    ENCKE_EVENT_JOINED = 9,
    /** The user has left it, on all of its connections; comes once for each ENCKE_EVENT_JOINED (option events). */
    ENCKE_EVENT_LEFT = 10,
} encke_event_kind;

/** What a host answers to a question. */
typedef enum {
    /** No: the client is told 403. */
    ENCKE_DENY = 0,
    /** Yes. */
    ENCKE_ALLOW = 1,
} encke_verdict;

/**
 * A server in this process, or a connection to one elsewhere. Made by encke_start or encke_connect, ended by
 * encke_stop. May be used from many threads at once. Opaque: only its value counts, so a handle that was stopped,
 * or never was one, is answered with a code.
 */
typedef struct encke encke;

/**
 * A channel that is held open for publishing. Made by encke_channel_open, ended by encke_channel_close, or with its
 * handle by encke_stop. May be used from many threads at once. Opaque: only its value counts, so one that was closed,
 * or never was one, is answered with a code.
 */
typedef struct encke_channel encke_channel;

/** A message, all of it lent for the call. The lengths say how long each text is; 0 for none. */
typedef struct {
    /** The channel's full name, UTF-8: "/chat/rome". */
    const char *channel;
    /** At most 255. */
    size_t channel_len;
    /** The message itself. */
    const char *data;
    /** At most the option body_bytes_max. */
    size_t data_len;
    /** Its media type, ASCII: "application/json" is embedded as JSON where messages are wrapped in JSON. */
    const char *content_type;
    /** At most 255. */
    size_t content_type_len;
    /** The name of its event, UTF-8: what an EventSource listens for. */
    const char *event;
    /** At most 255. */
    size_t event_len;
} encke_message;

/** An event. Its texts are the library's and lent until encke_event_free; lengths in bytes, 0 for none. */
typedef struct {
    /** An encke_event_kind; pass over those that you do not know. */
    uint32_t kind;
    /** 0. */
    uint32_t flags;
    /** Which connection it is about; 0 for none. */
    uint64_t client;
    /** What encke_answer has to name; 0 if nothing is asked. */
    uint64_t question;
    /** The channel it is about, UTF-8. */
    const char *channel;
    /** Its length. */
    size_t channel_len;
    /** ENCKE_EVENT_PUBLISH: the message. ENCKE_EVENT_LOG, OVERFLOW, FAILED: a text. ENCKE_EVENT_JOINED, LEFT: a user's name. */
    const char *data;
    /** Its length. */
    size_t data_len;
    /** ENCKE_EVENT_PUBLISH: the message's media type, if it was named. */
    const char *content_type;
    /** Its length. */
    size_t content_type_len;
    /**
     * ENCKE_EVENT_SUBSCRIBE and PUBLISH: who asks, as JSON:
     * {"address":"127.0.0.1:5123","transport":"sse","query":"user=ann","headers":{"cookie":"a=1"}}
     * and "user" before that, if a token or a key says who it is.
     */
    const char *request;
    /** Its length. */
    size_t request_len;
    /** The library's; what encke_event_free frees. */
    void *owner;
} encke_event;

/**
 * What went wrong in this thread's last call that failed, as a text that ends with NUL: names the option or
 * argument, its value and its bounds. Empty if none failed. Valid until this thread's next call.
 */
const char *encke_last_error(void);

/** What `code` means, in one sentence that ends with NUL. Static; also for codes that are none. */
const char *encke_strerror(int32_t code);

/**
 * The interface version of the loaded library: the ENCKE_ABI_VERSION of its own header. A program that was made
 * for a higher one misses functions.
 */
int32_t encke_abi_version(void);

/** The version of the library, "1.2.3". Static. */
const char *encke_version(void);

/**
 * This header's text without the lines that begin with #, for PHP's FFI::cdef and Python's cffi, so that
 * header and library are always of the same version. Static.
 */
const char *encke_cdef(void);

/**
 * Starts a server in this process: threads of its own, which never run code of the host.
 *
 * options: a JSON object of options_len bytes, with names of the option table ("encke serve --help", underscores for
 * dashes); values are texts, whole numbers, false for off, or lists of texts. None (options_len 0) are the defaults. The
 * private listener is off unless asked for.
 * out: the handle, to be ended with encke_stop. The same options once more in this process are the same server; it
 * ends when it was stopped as often as it was started.
 *
 * Returns 0, ENCKE_ECONFIG (encke_last_error has a line for each option that is wrong), ENCKE_ESYSTEM (an address is
 * in use), ENCKE_EINVAL.
 */
int32_t encke_start(const char *options,
                    size_t options_len,
                    encke **out);

/**
 * Connects to a server of another process, to publish there.
 *
 * address: "unix:" and the path of the server's control socket, or "http://" and host and port of its private listener,
 * address_len bytes.
 * out: the handle, to be ended with encke_stop. All calls that publish, and encke_flush, are the same as for a server in
 * this process. It connects anew when the connection breaks, keeps what was not yet sent (8 MiB, then ENCKE_EAGAIN), and
 * says with the next encke_flush if something may be lost. It works in a child after fork. May block for seconds where a
 * name has to be looked up or the server does not answer.
 *
 * Returns 0, ENCKE_ESYSTEM (nobody listens there, or it is no private listener), ENCKE_EINVAL.
 */
int32_t encke_connect(const char *address,
                      size_t address_len,
                      encke **out);

/**
 * Waits until the reactors have taken all that was published before: it is in the histories, and on its way.
 *
 * ms: for how long at most, in milliseconds. Blocks.
 *
 * Returns 0, ENCKE_ETIMEDOUT, ENCKE_ECLOSED (for a connection also: it broke since the last flush, and what was sent
 * before may be lost), ENCKE_EINVAL (for a connection: messages since the last flush were refused; encke_last_error
 * says how many, and why the first).
 */
int32_t encke_flush(const encke *encke, uint32_t ms);

/**
 * Goes on with other options, without touching a connection: new requests meet the new rules, and files that options name
 * (keys, for example) are read anew. All of it holds when this returns. An access log that was moved away is begun anew
 * whatever is returned. Blocks until each reactor has taken them, between two turns.
 *
 * options: as for encke_start; an option that is not among them has its default from then on. They do not change what
 * encke_start takes for the same server: that is still what it was started with.
 *
 * Returns 0, or how many options were to change and last until a restart: they stay as they were, and encke_last_error has
 * their names, one a line. ENCKE_ECONFIG (encke_last_error has a line for each option that is wrong; all stays as it
 * was), ENCKE_EINVAL (also for a connection), ENCKE_ECLOSED, ENCKE_ECHILD.
 */
int32_t encke_reload(const encke *encke,
                     const char *options,
                     size_t options_len);

/**
 * Ends the handle: waits until what was published is taken, lets answers under way finish, ends all threads.
 *
 * ms: for how long at most all of that may take, in milliseconds; then connections are cut. Blocks. The handle is gone
 * whatever is returned, unless it was started more often than stopped. In a child after fork it only lets go of what is
 * the parent's.
 *
 * Returns 0, ENCKE_ETIMEDOUT or another code of encke_flush (it has ended all the same), ENCKE_ECLOSED (it had been
 * stopped), ENCKE_EINVAL.
 */
int32_t encke_stop(encke *encke, uint32_t ms);

/**
 * Where the server listens, with the real ports where port 0 was asked for, as JSON:
 * {"public":["127.0.0.1:43211"],"private":[],"control":null}
 *
 * buffer: takes the text and, if there is room, a NUL; 4,096 bytes suffice.
 *
 * Returns the text's length, or ENCKE_EINVAL (also for a connection), ENCKE_ECHILD.
 */
ptrdiff_t encke_address(const encke *encke, char *buffer, size_t size);

/**
 * What the server has done and holds, as JSON: {"connections":2,"channels":1,"opened":5,"published":100}
 *
 * buffer: takes the text and, if there is room, a NUL; 4,096 bytes suffice.
 *
 * Returns the text's length, or ENCKE_EINVAL (also for a connection), ENCKE_ECHILD.
 */
ptrdiff_t encke_stats(const encke *encke, char *buffer, size_t size);

/**
 * Publishes data to a channel. Never blocks, keeps no pointer, copies data once; any thread may. Messages of one
 * thread to one channel keep their order.
 *
 * Returns 0, ENCKE_EAGAIN (no room: nothing was taken), ENCKE_EINVAL, ENCKE_ECLOSED, ENCKE_ECHILD.
 */
int32_t encke_publish(const encke *encke, const char *channel, size_t channel_len, const char *data, size_t data_len);

/** Publishes a message that may have a media type and an event's name. As encke_publish in all else. */
int32_t encke_publish_with(const encke *encke, const encke_message *message);

/**
 * Publishes count messages, from the first on; a list of 1 GiB at most.
 *
 * Returns how many were taken; encke_last_error says why not all. If none was: a code, as encke_publish.
 */
ptrdiff_t encke_publish_many(const encke *encke, const encke_message *messages, size_t count);

/**
 * Publishes messages packed into one buffer, one behind the other; numbers are little-endian:
 * channel_len u16, content_type_len u8, event_len u8, data_len u32, channel, content type, event, data.
 * With neither type nor event that is: channel_len u32, data_len u32, channel, data. One call, and one text to
 * build (1 GiB at most), are what a batch costs in languages where a call is dear.
 *
 * Returns how many were taken; encke_last_error says why not all. If none was: a code, as encke_publish.
 */
ptrdiff_t encke_publish_packed(const encke *encke, const char *buffer, size_t len);

/**
 * Publishes the texts in buffer that separator (a byte, such as 10 for lines) ends, all to one channel. A text
 * behind the last separator counts; nothing behind it does not. A buffer has 1 GiB at most.
 *
 * Returns how many were taken; encke_last_error says why not all. If none was: a code, as encke_publish.
 */
ptrdiff_t encke_publish_split(const encke *encke,
                              const char *channel,
                              size_t channel_len,
                              const char *buffer,
                              size_t len,
                              uint8_t separator);

/**
 * Opens a channel for publishing: its name is checked and found once, so that encke_channel_publish has less to do and
 * takes fewer arguments, which is most of what a call costs in languages where one is dear.
 *
 * name: the channel's full name, UTF-8, name_len bytes: "/chat/rome".
 * out: the channel, to be ended with encke_channel_close. The same name once more is another of its own. A child after
 * fork may use it as it may use its handle.
 *
 * Returns 0, ENCKE_EINVAL, ENCKE_EAGAIN (1,048,576 are open), ENCKE_ECLOSED, ENCKE_ECHILD.
 */
int32_t encke_channel_open(const encke *encke, const char *name, size_t name_len, encke_channel **out);

/**
 * Publishes data to a channel, as encke_publish does to the one of a name.
 *
 * Returns 0, ENCKE_EAGAIN (no room: nothing was taken), ENCKE_EINVAL (also: this is no channel), ENCKE_ECLOSED (it was
 * closed, or its handle stopped), ENCKE_ECHILD.
 */
int32_t encke_channel_publish(const encke_channel *channel, const char *data, size_t data_len);

/**
 * Ends a channel: nothing more is published by it. What was is not touched. Any thread may, while others publish.
 *
 * Returns 0, ENCKE_ECLOSED (it was closed, or its handle stopped), ENCKE_EINVAL (this is no channel).
 */
int32_t encke_channel_close(encke_channel *channel);

/**
 * A descriptor that polls readable while events wait, for select, poll, epoll and their like. Never read it, never
 * close it: encke_next_event does the one, the library the other. From encke_stop on it polls readable for good, so
 * that a thread that waits there comes and is told ENCKE_ECLOSED; a duplicate of it stays so. It is closed when the
 * threads that used the handle have ended or use another.
 *
 * Returns the descriptor, or ENCKE_EINVAL (a connection has no events), ENCKE_ECHILD, ENCKE_ECLOSED.
 */
int32_t encke_event_fd(const encke *encke);

/**
 * Takes the next event, if one waits. Never blocks. When it returns 0, all that waited was taken, and the descriptor
 * polls readable again when more comes.
 *
 * out: the event, to be freed with encke_event_free; not written unless 1 is returned.
 *
 * Returns 1 (an event), 0 (none waits), or ENCKE_EINVAL, ENCKE_ECHILD, ENCKE_ECLOSED.
 */
int32_t encke_next_event(const encke *encke, encke_event *out);

/**
 * Frees an event that encke_next_event gave, and empties it. Does nothing with NULL, or with one that is empty. An
 * event may be freed after its handle was stopped.
 */
void encke_event_free(encke_event *event);

/**
 * Answers a question of an event, from any thread. Never blocks. An answer that comes too late, or twice, changes nothing.
 * Whoever is allowed is a subscriber a moment later: greet it when ENCKE_EVENT_SUBSCRIBED comes.
 *
 * verdict: an encke_verdict.
 *
 * Returns 0, ENCKE_EAGAIN (nothing was taken), ENCKE_EINVAL, ENCKE_ECLOSED, ENCKE_ECHILD.
 */
int32_t encke_answer(const encke *encke,
                     uint64_t question,
                     int32_t verdict);

#endif  /* ENCKE_H */
