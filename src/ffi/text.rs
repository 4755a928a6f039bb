//! What the library says of itself.

#![allow(non_camel_case_types, reason = "C reads these names")]

use std::ffi::{CStr, c_char};

/// The version of this interface: functions and codes are added to it, never changed.
#[repr(C)]
pub enum encke_abi {
    /// What encke_abi_version returns for the library that this header came with.
    ENCKE_ABI_VERSION = 1,
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

const HEADER: &[u8] = include_bytes!("../../include/encke.h");

/// The header without its lines for the preprocessor, with NULs behind it.
static CDEF: [u8; HEADER.len() + 1] = without_directives();

const fn without_directives() -> [u8; HEADER.len() + 1] {
    let mut text = [0; HEADER.len() + 1];
    let (mut from, mut to) = (0, 0);
    let (mut line_begins, mut directive) = (true, false);
    while from < HEADER.len() {
        let byte = HEADER[from];
        directive = if line_begins { byte == b'#' } else { directive };
        line_begins = byte == b'\n';
        if !directive {
            text[to] = byte;
            to += 1;
        }
        from += 1;
    }
    text
}

/// The interface version of the loaded library: the ENCKE_ABI_VERSION of its own header. A program that was made
/// for a higher one misses functions.
#[unsafe(no_mangle)]
pub extern "C" fn encke_abi_version() -> i32 {
    encke_abi::ENCKE_ABI_VERSION as i32
}

/// The version of the library, "1.2.3". Static.
#[unsafe(no_mangle)]
pub extern "C" fn encke_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

/// This header's text without the lines that begin with #, for PHP's FFI::cdef and Python's cffi, so that
/// header and library are always of the same version. Static.
#[unsafe(no_mangle)]
pub extern "C" fn encke_cdef() -> *const c_char {
    let text = CStr::from_bytes_until_nul(&CDEF);
    text.map_or(c"".as_ptr(), CStr::as_ptr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_directive_and_nothing_else_is_left_out() {
        // SAFETY: it is a text that ends with NUL, and static.
        let cdef = unsafe { CStr::from_ptr(encke_cdef()) }.to_str().expect("text");
        let header = str::from_utf8(HEADER).expect("text");
        let kept: String = header.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
        assert_eq!(cdef, kept);
        assert!(cdef.contains("int32_t encke_publish("));
    }
}
