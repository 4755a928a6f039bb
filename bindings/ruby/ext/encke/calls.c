/* The calls that publish, for Ruby: strings are lent where they lie, codes come back as they are.
 *
 * It owns nothing but the addresses of a few functions in a library that is never unloaded, and keeps no pointer after a call.
 * No call runs Ruby code or lets another thread run, so no string and no array can change meanwhile.
 */
#include <dlfcn.h>
#include <ruby.h>
#include <stdint.h>
#include "encke.h"

/* How many messages of a batch are lent to the library at once. */
enum { BATCH = 128 };

typedef struct {
    int32_t (*abi_version)(void);
    int32_t (*publish)(const encke *, const char *, size_t, const char *, size_t);
    int32_t (*channel_publish)(const encke_channel *, const char *, size_t);
    ptrdiff_t (*publish_many)(const encke *, const encke_message *, size_t);
} Calls;

static const rb_data_type_t CALLS = {
    .wrap_struct_name = "Encke::Native::Extension",
    .function = {.dfree = RUBY_TYPED_DEFAULT_FREE},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY,
};

static VALUE allocate(VALUE class)
{
    Calls *calls;
    return TypedData_Make_Struct(class, Calls, &CALLS, calls);
}

static Calls *calls_of(VALUE self)
{
    return rb_check_typeddata(self, &CALLS);
}

static VALUE raise_load_error(void)
{
    rb_raise(rb_eLoadError, "%s", dlerror());
}

static void *function(void *library, const char *name)
{
    void *address = dlsym(library, name);
    if (address == NULL)
        raise_load_error();
    return address;
}

/* The library is loaded already and never unloaded: what is opened here need not be closed. */
static VALUE open_library(VALUE self, VALUE path)
{
    Calls *calls = calls_of(self), found;
    void *library = dlopen(StringValueCStr(path), RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        raise_load_error();
    *(void **)&found.abi_version = function(library, "encke_abi_version");
    *(void **)&found.publish = function(library, "encke_publish");
    *(void **)&found.channel_publish = function(library, "encke_channel_publish");
    *(void **)&found.publish_many = function(library, "encke_publish_many");
    *calls = found;
    return Qnil;
}

static Calls *open_calls(VALUE self)
{
    Calls *calls = calls_of(self);
    if (calls->publish == NULL)
        rb_raise(rb_eRuntimeError, "no library is open");
    return calls;
}

/* What any call costs at the least. */
static VALUE abi_version(VALUE self)
{
    return INT2FIX(open_calls(self)->abi_version());
}

/* Lengths are asked of the strings themselves, not of who calls. */
static VALUE publish(VALUE self, VALUE handle, VALUE channel, VALUE channel_size, VALUE data, VALUE data_size)
{
    Calls *calls = open_calls(self);
    (void)channel_size, (void)data_size;
    Check_Type(channel, T_STRING);
    Check_Type(data, T_STRING);
    return INT2FIX(calls->publish((const encke *)NUM2SIZET(handle), RSTRING_PTR(channel), (size_t)RSTRING_LEN(channel),
                                  RSTRING_PTR(data), (size_t)RSTRING_LEN(data)));
}

static VALUE channel_publish(VALUE self, VALUE channel, VALUE data, VALUE data_size)
{
    Calls *calls = open_calls(self);
    (void)data_size;
    Check_Type(data, T_STRING);
    return INT2FIX(calls->channel_publish((const encke_channel *)NUM2SIZET(channel), RSTRING_PTR(data),
                                          (size_t)RSTRING_LEN(data)));
}

static int are_strings(VALUE messages)
{
    for (long at = 0; at < RARRAY_LEN(messages); at++)
        if (!RB_TYPE_P(RARRAY_AREF(messages, at), T_STRING))
            return 0;
    return 1;
}

/* How many were taken, or the code that the first was refused with; nil if not all are strings. */
static VALUE publish_texts(VALUE self, VALUE handle, VALUE channel, VALUE messages)
{
    Calls *calls = open_calls(self);
    encke_message batch[BATCH];
    Check_Type(channel, T_STRING);
    Check_Type(messages, T_ARRAY);
    const encke *server = (const encke *)NUM2SIZET(handle);
    if (!are_strings(messages))
        return Qnil;
    long taken = 0, count = RARRAY_LEN(messages);
    while (taken < count) {
        long part = count - taken < BATCH ? count - taken : BATCH;
        for (long at = 0; at < part; at++) {
            VALUE data = RARRAY_AREF(messages, taken + at);
            batch[at] = (encke_message){
                .channel = RSTRING_PTR(channel),
                .channel_len = (size_t)RSTRING_LEN(channel),
                .data = RSTRING_PTR(data),
                .data_len = (size_t)RSTRING_LEN(data),
            };
        }
        ptrdiff_t answer = calls->publish_many(server, batch, (size_t)part);
        if (answer < 0)
            return LONG2FIX(taken > 0 ? taken : (long)answer);
        taken += (long)answer;
        if (answer < part)
            break;
    }
    RB_GC_GUARD(messages);
    return LONG2FIX(taken);
}

void Init_calls(void)
{
    VALUE extension = rb_define_class_under(rb_define_module_under(rb_define_module("Encke"), "Native"), "Extension", rb_cObject);
    rb_define_alloc_func(extension, allocate);
    rb_define_private_method(extension, "open_library", open_library, 1);
    rb_define_method(extension, "abi_version", abi_version, 0);
    rb_define_method(extension, "publish", publish, 5);
    rb_define_method(extension, "channel_publish", channel_publish, 3);
    rb_define_method(extension, "publish_texts", publish_texts, 3);
}
