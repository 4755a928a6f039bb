/* The bridge to libencke: bytes in, codes out.
 *
 * It owns two types, Handle around one `encke *` and Channel around one `encke_channel *`, and turns codes into the exceptions of `encke.errors`. It never
 * keeps a pointer into a Python object after a call, and never decides anything: options, events and time are the
 * business of the Python files beside it.
 *
 * The GIL: publishing never blocks, so it keeps the GIL, which is several times cheaper than handing it over. The three
 * calls that block, flush, reload and stop, and the two that open sockets, start and connect, release it.
 *
 * The handle is a value to the library, which answers a stale one with a code: a stop on one thread while another
 * flushes is safe.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include "encke.h"

#ifndef ENCKE_BINDING_VERSION
#error "setup.py defines ENCKE_BINDING_VERSION"
#endif

/* How many messages of a batch are lent to the library at once. */
enum { BATCH = 256 };
/* The library promises that its JSON texts fit. */
enum { TEXT_SIZE = 4096 };

static PyObject *error_from_code; /* encke.errors.from_code */
static PyObject *to_json;         /* encke.values.to_json */

typedef struct {
    PyObject_HEAD
    encke *handle; /* NULL: not opened yet, or stopped */
} Handle;

/* ---- errors */

static PyObject *raise_text(int32_t code, const char *text)
{
    PyObject *error = PyObject_CallFunction(error_from_code, "is", (int)code, text);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

static PyObject *raise_code(int32_t code)
{
    const char *detail = encke_last_error();
    return raise_text(code, detail != NULL && *detail != '\0' ? detail : encke_strerror(code));
}

static PyObject *none_or_raise(int32_t code)
{
    if (code != ENCKE_OK)
        return raise_code(code);
    Py_RETURN_NONE;
}

static PyObject *raise_closed(void)
{
    return raise_text(ENCKE_ECLOSED, "it is stopped");
}

/* ---- text and payloads, lent */

typedef struct {
    const char *bytes;
    Py_ssize_t len;
} Lent;

/* Lends the UTF-8 of a str. Lone surrogates have none. */
static int lend_text(PyObject *object, const char *name, Lent *out)
{
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be str, not %s", name, Py_TYPE(object)->tp_name);
        return -1;
    }
    out->bytes = PyUnicode_AsUTF8AndSize(object, &out->len);
    if (out->bytes != NULL)
        return 0;
    if (PyErr_ExceptionMatches(PyExc_UnicodeError)) {
        PyErr_Clear();
        raise_text(ENCKE_EINVAL, "text with a lone surrogate has no UTF-8");
    }
    return -1;
}

static int lend_optional_text(PyObject *object, const char *name, Lent *out)
{
    return object == NULL || object == Py_None ? 0 : lend_text(object, name, out);
}

/* A str or bytes object that holds the payload, as a new reference: the object itself, a copy of another buffer's
 * bytes, or JSON. */
static PyObject *payload_of(PyObject *data, int *is_json)
{
    *is_json = 0;
    if (PyUnicode_Check(data) || PyBytes_Check(data)) {
        Py_INCREF(data);
        return data;
    }
    if (PyObject_CheckBuffer(data))
        return PyBytes_FromObject(data);
    PyObject *json = PyObject_CallFunctionObjArgs(to_json, data, NULL);
    if (json != NULL && !PyBytes_Check(json)) {
        Py_DECREF(json);
        PyErr_SetString(PyExc_TypeError, "to_json must return bytes");
        return NULL;
    }
    *is_json = 1;
    return json;
}

/* Lends the bytes of what payload_of returned. Runs no Python code. */
static int lend_payload(PyObject *payload, Lent *out)
{
    if (PyUnicode_Check(payload))
        return lend_text(payload, "data", out);
    out->bytes = PyBytes_AS_STRING(payload);
    out->len = PyBytes_GET_SIZE(payload);
    return 0;
}

/* ---- keywords */

/* What every way of publishing may say beside channel and data. */
typedef struct {
    Lent event;
    Lent content_type;
} Labels;

/* Reads `event` and `content_type`, the only keywords there are, from the tail of a vectorcall's arguments. */
static int read_labels(PyObject *const *values, PyObject *names, Labels *out)
{
    static const Labels none = {{"", 0}, {"", 0}};
    *out = none;
    Py_ssize_t count = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        int failed;
        if (PyUnicode_CompareWithASCIIString(name, "event") == 0)
            failed = lend_optional_text(values[i], "event", &out->event);
        else if (PyUnicode_CompareWithASCIIString(name, "content_type") == 0)
            failed = lend_optional_text(values[i], "content_type", &out->content_type);
        else
            failed = (PyErr_Format(PyExc_TypeError, "there is no argument %R", name), -1);
        if (failed)
            return -1;
    }
    return 0;
}

static int wrong_count(const char *usage)
{
    PyErr_Format(PyExc_TypeError, "usage: %s", usage);
    return -1;
}

static void describe(encke_message *message, Lent channel, Lent data, const Labels *labels, int is_json)
{
    static const char json[] = "application/json";
    message->channel = channel.bytes;
    message->channel_len = (size_t)channel.len;
    message->data = data.bytes;
    message->data_len = (size_t)data.len;
    message->event = labels->event.bytes;
    message->event_len = (size_t)labels->event.len;
    message->content_type = labels->content_type.bytes;
    message->content_type_len = (size_t)labels->content_type.len;
    if (is_json && labels->content_type.len == 0) {
        message->content_type = json;
        message->content_type_len = sizeof json - 1;
    }
}

/* ---- publishing */

/* Where a message goes: an open channel, or else the one of this name at this handle. */
typedef struct {
    const encke_channel *open;
    const encke *handle;
    Lent name;
} Target;

static PyObject *publish_bytes(Target to, const char *data, Py_ssize_t len)
{
    if (to.open != NULL)
        return none_or_raise(encke_channel_publish(to.open, data, (size_t)len));
    return none_or_raise(encke_publish(to.handle, to.name.bytes, (size_t)to.name.len, data, (size_t)len));
}

/* A payload that is lent where it lies, with nothing to say beside it. NULL without an exception: not that simple. */
static PyObject *publish_plain(Target to, PyObject *data)
{
    if (PyUnicode_Check(data) || PyBytes_Check(data)) {
        Lent payload;
        return lend_payload(data, &payload) ? NULL : publish_bytes(to, payload.bytes, payload.len);
    }
    if (PyObject_CheckBuffer(data)) {
        Py_buffer view;
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE))
            return NULL;
        PyObject *done = publish_bytes(to, view.buf, view.len);
        PyBuffer_Release(&view);
        return done;
    }
    return NULL;
}

/* Any payload, with labels. */
static PyObject *publish_labelled(Handle *self, Lent channel, PyObject *object, const Labels *labels)
{
    Lent data;
    int is_json;
    PyObject *payload = payload_of(object, &is_json);
    if (payload == NULL)
        return NULL;
    PyObject *done = NULL;
    if (self->handle == NULL) {
        /* Making JSON ran Python code, which has stopped us. */
        raise_closed();
    } else if (lend_payload(payload, &data) == 0) {
        encke_message message;
        describe(&message, channel, data, labels, is_json);
        done = none_or_raise(encke_publish_with(self->handle, &message));
    }
    Py_DECREF(payload);
    return done;
}

static PyObject *handle_publish(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Handle *self = (Handle *)object;
    Lent channel;
    Labels labels;
    if (count != 2)
        return wrong_count("publish(channel, data, *, event=None, content_type=None)"), NULL;
    if (self->handle == NULL)
        return raise_closed();
    if (lend_text(args[0], "channel", &channel))
        return NULL;
    if (names == NULL) {
        Target to = {NULL, self->handle, channel};
        PyObject *done = publish_plain(to, args[1]);
        if (done != NULL || PyErr_Occurred())
            return done;
    }
    if (read_labels(args + count, names, &labels))
        return NULL;
    return publish_labelled(self, channel, args[1], &labels);
}

/* One message of a batch, with references of its own: turning a later one into JSON runs Python code, which may change
 * the list that this one came from. */
typedef struct {
    PyObject *channel; /* NULL: the batch's own */
    PyObject *payload;
    int is_json;
} Item;

static void item_clear(Item *item)
{
    Py_CLEAR(item->channel);
    Py_CLEAR(item->payload);
}

/* Takes references to what `source` holds: data, or where the batch has no channel of its own a pair. */
static int item_prepare(Item *item, PyObject *source, int is_pair)
{
    item->channel = item->payload = NULL;
    if (!is_pair)
        return (item->payload = payload_of(source, &item->is_json)) == NULL ? -1 : 0;
    PyObject *pair = PySequence_Fast(source, "a message must be a pair of channel and data");
    if (pair == NULL)
        return -1;
    if (PySequence_Fast_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "a message must be a pair of channel and data");
    } else {
        item->channel = PySequence_Fast_GET_ITEM(pair, 0);
        Py_INCREF(item->channel);
        PyObject *data = PySequence_Fast_GET_ITEM(pair, 1);
        Py_INCREF(data);
        item->payload = payload_of(data, &item->is_json);
        Py_DECREF(data);
        if (item->payload == NULL)
            item_clear(item);
    }
    Py_DECREF(pair);
    return item->payload == NULL ? -1 : 0;
}

static int item_describe(const Item *item, Lent channel, const Labels *labels, encke_message *message)
{
    Lent data;
    if (item->channel != NULL && lend_text(item->channel, "channel", &channel))
        return -1;
    if (lend_payload(item->payload, &data))
        return -1;
    describe(message, channel, data, labels, item->is_json);
    return 0;
}

/* Hands up to BATCH messages to the library. Returns how many it took; `*failed` is set, with an exception, if the one
 * behind those can never be taken. */
static Py_ssize_t publish_batch(Handle *self, PyObject *list, Py_ssize_t from, const Lent *channel,
                                const Labels *labels, int *failed)
{
    static const Lent nowhere = {"", 0};
    Item items[BATCH];
    encke_message messages[BATCH];
    Py_ssize_t held = 0, described = 0, taken = 0;
    while (held < BATCH && from + held < PySequence_Fast_GET_SIZE(list)) {
        PyObject *source = PySequence_Fast_GET_ITEM(list, from + held);
        Py_INCREF(source);
        *failed = item_prepare(&items[held], source, channel == NULL);
        Py_DECREF(source);
        if (*failed)
            break;
        held++;
    }
    /* Making JSON runs Python code, which may have stopped us. */
    if (self->handle == NULL) {
        PyErr_Clear();
        raise_closed();
        *failed = -1;
    }
    while (self->handle != NULL && described < held) {
        if (item_describe(&items[described], channel == NULL ? nowhere : *channel, labels, &messages[described])) {
            *failed = -1;
            break;
        }
        described++;
    }
    if (described > 0) {
        ptrdiff_t answer = encke_publish_many(self->handle, messages, (size_t)described);
        taken = answer > 0 ? (Py_ssize_t)answer : 0;
        if (taken < described) {
            /* The first that was not taken comes before any that cannot be read. */
            PyErr_Clear();
            *failed = answer < 0 && answer != ENCKE_EAGAIN ? -1 : 0;
            if (*failed)
                raise_code((int32_t)answer);
        }
    }
    while (held > 0)
        item_clear(&items[--held]);
    return taken;
}

/* How many messages from the front were taken. What can never be taken raises once it is the first. */
static PyObject *publish_list(Handle *self, PyObject *messages, const Lent *channel, const Labels *labels)
{
    PyObject *list = PySequence_Fast(messages, "messages must be iterable");
    if (list == NULL)
        return NULL;
    Py_ssize_t total = 0, taken;
    int failed = 0;
    do {
        taken = publish_batch(self, list, total, channel, labels, &failed);
        total += taken;
    } while (taken == BATCH && !failed);
    Py_DECREF(list);
    if (failed && total == 0)
        return NULL;
    PyErr_Clear();
    return PyLong_FromSsize_t(total);
}

static PyObject *handle_publish_many(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Handle *self = (Handle *)object;
    Lent channel;
    Labels labels;
    if (count != 2)
        return wrong_count("publish_many(channel, messages, *, event=None, content_type=None)"), NULL;
    if (self->handle == NULL)
        return raise_closed();
    if (lend_text(args[0], "channel", &channel) || read_labels(args + count, names, &labels))
        return NULL;
    return publish_list(self, args[1], &channel, &labels);
}

static PyObject *handle_publish_pairs(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Handle *self = (Handle *)object;
    Labels labels;
    if (count != 1)
        return wrong_count("publish_pairs(pairs, *, event=None, content_type=None)"), NULL;
    if (self->handle == NULL)
        return raise_closed();
    if (read_labels(args + count, names, &labels))
        return NULL;
    return publish_list(self, args[0], NULL, &labels);
}

/* ---- channels */

/* A channel that the library holds open. It keeps its owner, which alone says whether all is stopped. */
typedef struct {
    PyObject_HEAD
    Handle *owner;
    PyObject *name;
    encke_channel *channel;
} Channel;

static PyTypeObject ChannelType;

static PyObject *handle_channel(PyObject *object, PyObject *name)
{
    Handle *self = (Handle *)object;
    Lent text;
    encke_channel *opened = NULL;
    if (self->handle == NULL)
        return raise_closed();
    if (lend_text(name, "name", &text))
        return NULL;
    int32_t code = encke_channel_open(self->handle, text.bytes, (size_t)text.len, &opened);
    if (code != ENCKE_OK)
        return raise_code(code);
    Channel *channel = PyObject_GC_New(Channel, &ChannelType);
    if (channel == NULL) {
        encke_channel_close(opened);
        return NULL;
    }
    Py_INCREF(object);
    channel->owner = self;
    Py_INCREF(name);
    channel->name = name;
    channel->channel = opened;
    PyObject_GC_Track(channel);
    return (PyObject *)channel;
}

static PyObject *channel_publish(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Channel *self = (Channel *)object;
    Lent name;
    Labels labels;
    if (count != 1)
        return wrong_count("publish(data, *, event=None, content_type=None)"), NULL;
    if (self->owner->handle == NULL)
        return raise_closed();
    if (names == NULL) {
        Target to = {self->channel, NULL, {"", 0}};
        PyObject *done = publish_plain(to, args[0]);
        if (done != NULL || PyErr_Occurred())
            return done;
    }
    if (lend_text(self->name, "name", &name) || read_labels(args + count, names, &labels))
        return NULL;
    return publish_labelled(self->owner, name, args[0], &labels);
}

static PyObject *channel_publish_many(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Channel *self = (Channel *)object;
    Lent name;
    Labels labels;
    if (count != 1)
        return wrong_count("publish_many(messages, *, event=None, content_type=None)"), NULL;
    if (self->owner->handle == NULL)
        return raise_closed();
    if (lend_text(self->name, "name", &name) || read_labels(args + count, names, &labels))
        return NULL;
    return publish_list(self->owner, args[0], &name, &labels);
}

static PyObject *channel_name(PyObject *object, void *unused)
{
    (void)unused;
    PyObject *name = ((Channel *)object)->name;
    Py_INCREF(name);
    return name;
}

static PyObject *channel_repr(PyObject *object)
{
    return PyUnicode_FromFormat("<encke channel %U>", ((Channel *)object)->name);
}

/* The owner may hold its channels, as the program likes; it cannot be cleared from here, so what it holds is. */
static int channel_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(((Channel *)object)->owner);
    return 0;
}

static void channel_dealloc(PyObject *object)
{
    Channel *self = (Channel *)object;
    PyObject_GC_UnTrack(object);
    /* Where the handle was stopped it is closed already, and the library says so. */
    encke_channel_close(self->channel);
    Py_DECREF((PyObject *)self->owner);
    Py_DECREF(self->name);
    Py_TYPE(object)->tp_free(object);
}

/* ---- opening, waiting, closing */

typedef int32_t (*Opener)(const char *, size_t, encke **);

static PyObject *open_with(Handle *self, PyObject *text, Opener opener)
{
    char *bytes;
    Py_ssize_t len;
    encke *opened = NULL;
    int32_t code;
    if (self->handle != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "it is open already");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(text, &bytes, &len))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    code = opener(bytes, (size_t)len, &opened);
    Py_END_ALLOW_THREADS
    if (code != ENCKE_OK)
        return raise_code(code);
    self->handle = opened;
    Py_RETURN_NONE;
}

static PyObject *handle_start(PyObject *object, PyObject *options)
{
    return open_with((Handle *)object, options, encke_start);
}

static PyObject *handle_connect(PyObject *object, PyObject *address)
{
    return open_with((Handle *)object, address, encke_connect);
}

static int read_milliseconds(PyObject *object, uint32_t *out)
{
    unsigned long ms = PyLong_AsUnsignedLong(object);
    if (PyErr_Occurred())
        return -1;
    *out = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    return 0;
}

static PyObject *handle_flush(PyObject *object, PyObject *milliseconds)
{
    encke *handle = ((Handle *)object)->handle;
    uint32_t ms;
    int32_t code;
    if (handle == NULL)
        return raise_closed();
    if (read_milliseconds(milliseconds, &ms))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    code = encke_flush(handle, ms);
    Py_END_ALLOW_THREADS
    return none_or_raise(code);
}

/* The names of the options that last until a restart, one a line. */
static PyObject *handle_reload(PyObject *object, PyObject *options)
{
    encke *handle = ((Handle *)object)->handle;
    char *bytes;
    Py_ssize_t len;
    int32_t kept;
    if (handle == NULL)
        return raise_closed();
    if (PyBytes_AsStringAndSize(options, &bytes, &len))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    kept = encke_reload(handle, bytes, (size_t)len);
    Py_END_ALLOW_THREADS
    if (kept < 0)
        return raise_code(kept);
    return PyUnicode_FromString(kept == 0 ? "" : encke_last_error());
}

/* From here on the handle is gone, whatever is returned. Once is enough: a second call does nothing. */
static PyObject *handle_stop(PyObject *object, PyObject *milliseconds)
{
    Handle *self = (Handle *)object;
    encke *handle = self->handle;
    uint32_t ms;
    int32_t code;
    if (read_milliseconds(milliseconds, &ms))
        return NULL;
    if (handle == NULL)
        Py_RETURN_NONE;
    self->handle = NULL;
    Py_BEGIN_ALLOW_THREADS
    code = encke_stop(handle, ms);
    Py_END_ALLOW_THREADS
    return none_or_raise(code);
}

/* ---- events */

static PyObject *handle_event_fd(PyObject *object, PyObject *unused)
{
    (void)unused;
    encke *handle = ((Handle *)object)->handle;
    if (handle == NULL)
        return raise_closed();
    int32_t fd = encke_event_fd(handle);
    return fd < 0 ? raise_code(fd) : PyLong_FromLong(fd);
}

static PyObject *text_of(const char *bytes, size_t len)
{
    return PyUnicode_DecodeUTF8(len ? bytes : "", (Py_ssize_t)len, "replace");
}

static PyObject *bytes_of(const char *bytes, size_t len)
{
    return PyBytes_FromStringAndSize(len ? bytes : "", (Py_ssize_t)len);
}

/* kind, client, question, channel, data, content type, request. */
static PyObject *event_tuple(const encke_event *event)
{
    return Py_BuildValue("(IKKNNNN)", (unsigned)event->kind, (unsigned long long)event->client,
                         (unsigned long long)event->question, text_of(event->channel, event->channel_len),
                         bytes_of(event->data, event->data_len), text_of(event->content_type, event->content_type_len),
                         bytes_of(event->request, event->request_len));
}

static PyObject *handle_next_event(PyObject *object, PyObject *unused)
{
    (void)unused;
    encke *handle = ((Handle *)object)->handle;
    if (handle == NULL)
        return raise_closed();
    encke_event event;
    int32_t got = encke_next_event(handle, &event);
    if (got < 0)
        return raise_code(got);
    if (got == 0)
        Py_RETURN_NONE;
    PyObject *tuple = event_tuple(&event);
    encke_event_free(&event);
    return tuple;
}

static PyObject *handle_answer(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    encke *handle = ((Handle *)object)->handle;
    if (count != 2)
        return wrong_count("_answer(question, verdict)"), NULL;
    if (handle == NULL)
        return raise_closed();
    uint64_t question = PyLong_AsUnsignedLongLong(args[0]);
    long verdict = PyErr_Occurred() ? 0 : PyLong_AsLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    return none_or_raise(encke_answer(handle, question, (int32_t)verdict));
}

/* ---- what is known */

typedef ptrdiff_t (*Teller)(const encke *, char *, size_t);

static PyObject *told_by(Handle *self, Teller teller)
{
    char text[TEXT_SIZE];
    if (self->handle == NULL)
        return raise_closed();
    ptrdiff_t len = teller(self->handle, text, sizeof text);
    if (len < 0)
        return raise_code((int32_t)len);
    if ((size_t)len > sizeof text)
        return raise_text(ENCKE_ESYSTEM, "the library's text is longer than it promised");
    return PyBytes_FromStringAndSize(text, len);
}

static PyObject *handle_stats(PyObject *object, PyObject *unused)
{
    (void)unused;
    return told_by((Handle *)object, encke_stats);
}

static PyObject *handle_address(PyObject *object, PyObject *unused)
{
    (void)unused;
    return told_by((Handle *)object, encke_address);
}

static PyObject *handle_is_open(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((Handle *)object)->handle != NULL);
}

/* ---- the type and the module */

/* A handle that nobody stopped is stopped without a wait for answers under way. */
static void handle_dealloc(PyObject *object)
{
    encke *handle = ((Handle *)object)->handle;
    if (handle != NULL) {
        Py_BEGIN_ALLOW_THREADS
        encke_stop(handle, 0);
        Py_END_ALLOW_THREADS
    }
    Py_TYPE(object)->tp_free(object);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef handle_methods[] = {
    {"publish", FAST(handle_publish), METH_FASTCALL | METH_KEYWORDS,
     "publish(channel, data, *, event=None, content_type=None)\n\n"
     "Publishes one message: str, bytes-like, or whatever has a JSON form. Never blocks; may raise Full."},
    {"publish_many", FAST(handle_publish_many), METH_FASTCALL | METH_KEYWORDS,
     "publish_many(channel, messages, *, event=None, content_type=None)\n\n"
     "Publishes a list of messages to one channel. Never blocks; returns how many, from the front, it took."},
    {"publish_pairs", FAST(handle_publish_pairs), METH_FASTCALL | METH_KEYWORDS,
     "publish_pairs(pairs, *, event=None, content_type=None)\n\n"
     "Publishes a list of pairs of channel and message. Never blocks; returns how many, from the front, it took."},
    {"channel", handle_channel, METH_O,
     "channel(name)\n\n"
     "A channel to publish to without naming it each time. Its name is checked, and it is found, once."},
    {"_start", handle_start, METH_O, NULL},
    {"_connect", handle_connect, METH_O, NULL},
    {"_flush", handle_flush, METH_O, NULL},
    {"_reload", handle_reload, METH_O, NULL},
    {"_stop", handle_stop, METH_O, NULL},
    {"_event_fd", handle_event_fd, METH_NOARGS, NULL},
    {"_next_event", handle_next_event, METH_NOARGS, NULL},
    {"_answer", FAST(handle_answer), METH_FASTCALL, NULL},
    {"_stats", handle_stats, METH_NOARGS, NULL},
    {"_address", handle_address, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef handle_properties[] = {
    {"_is_open", handle_is_open, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject HandleType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "encke._encke.Handle",
    .tp_doc = "What a server and a connection to one have in common.",
    .tp_basicsize = sizeof(Handle),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = handle_dealloc,
    .tp_methods = handle_methods,
    .tp_getset = handle_properties,
};

static PyMethodDef channel_methods[] = {
    {"publish", FAST(channel_publish), METH_FASTCALL | METH_KEYWORDS,
     "publish(data, *, event=None, content_type=None)\n\n"
     "Publishes one message: str, bytes-like, or whatever has a JSON form. Never blocks; may raise Full."},
    {"publish_many", FAST(channel_publish_many), METH_FASTCALL | METH_KEYWORDS,
     "publish_many(messages, *, event=None, content_type=None)\n\n"
     "Publishes a list of messages. Never blocks; returns how many, from the front, it took."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef channel_properties[] = {
    {"name", channel_name, NULL, "The channel's full name.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject ChannelType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "encke._encke.Channel",
    .tp_doc = "A channel of a server or a publisher. It is of use until that is stopped, and keeps it alive.",
    .tp_basicsize = sizeof(Channel),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_dealloc = channel_dealloc,
    .tp_traverse = channel_traverse,
    .tp_free = PyObject_GC_Del,
    .tp_repr = channel_repr,
    .tp_methods = channel_methods,
    .tp_getset = channel_properties,
};

/* Into the library and back, with nothing done there: what any call costs at the least. */
static PyObject *noop(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module, (void)args, (void)count;
    return none_or_raise(encke_abi_version() == ENCKE_ABI_VERSION ? ENCKE_OK : ENCKE_EINVAL);
}

static PyMethodDef module_methods[] = {
    {"noop", FAST(noop), METH_FASTCALL, "Calls into the library, which does nothing."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "encke._encke",
    .m_doc = "The bridge to libencke.",
    .m_size = -1,
    .m_methods = module_methods,
};

/* The library must be the one that this file was compiled for. */
static int check_library(void)
{
    int32_t abi = encke_abi_version();
    if (abi != ENCKE_ABI_VERSION) {
        PyErr_Format(PyExc_ImportError,
                     "libencke has ABI version %d, but this package was built for %d: install it anew", (int)abi,
                     (int)ENCKE_ABI_VERSION);
        return -1;
    }
    if (strcmp(encke_version(), ENCKE_BINDING_VERSION) != 0) {
        PyErr_Format(PyExc_ImportError, "libencke is version %s, but this package is %s: install it anew",
                     encke_version(), ENCKE_BINDING_VERSION);
        return -1;
    }
    return 0;
}

static PyObject *attribute_of(const char *module_name, const char *name)
{
    PyObject *owner = PyImport_ImportModule(module_name);
    PyObject *attribute = owner == NULL ? NULL : PyObject_GetAttrString(owner, name);
    Py_XDECREF(owner);
    return attribute;
}

PyMODINIT_FUNC PyInit__encke(void)
{
    if (check_library())
        return NULL;
    error_from_code = attribute_of("encke.errors", "from_code");
    to_json = attribute_of("encke.values", "to_json");
    if (error_from_code == NULL || to_json == NULL || PyType_Ready(&HandleType) || PyType_Ready(&ChannelType))
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made == NULL)
        return NULL;
    Py_INCREF(&HandleType);
    if (PyModule_AddObject(made, "Handle", (PyObject *)&HandleType) ||
        PyModule_AddStringConstant(made, "library_version", encke_version())) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
