/* libencke for C++: the C header, with C's linkage. */
#ifndef ENCKE_HPP
#define ENCKE_HPP
extern "C" {
#include "encke.h"
}
#endif
