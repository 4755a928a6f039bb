/* libencke for C++: the C header, with C's linkage. */
#ifndef ENCKE_HPP
#define ENCKE_HPP
/* First and outside: C++ wants its own headers included nowhere else, and the C header would include them inside. */
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include "encke.h"
}
#endif
