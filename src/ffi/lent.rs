//! Bytes that the host lends for one call: checked for null, bounded before anything of them is read, and
//! checked to be UTF-8 where they are text.

use super::code::Failure;
use crate::base::payload::is_ascii;
use std::ffi::c_char;
use std::slice;

/// Lends `len` bytes at `pointer`, at most `max`; `what` names them for whoever passed something else.
///
/// # Safety
/// `pointer` points to `len` readable bytes for as long as the result is used, if `len` is at most `max`.
pub(super) unsafe fn bytes<'a>(pointer: *const c_char, len: usize, max: usize, what: &str) -> Result<&'a [u8], Failure> {
    if len > max {
        return Err(Failure::invalid(format!("{what} is {len} bytes long, at most {max} are taken")));
    }
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Failure::invalid(format!("{what} is a null pointer")));
    }
    // SAFETY: not null, and readable as far as the caller promises.
    Ok(unsafe { slice::from_raw_parts(pointer.cast(), len) })
}

/// The same, of text.
///
/// # Safety
/// As for [`bytes`].
pub(super) unsafe fn text<'a>(pointer: *const c_char, len: usize, max: usize, what: &str) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise is the same.
    let bytes = unsafe { bytes(pointer, len, max, what) }?;
    if is_ascii(bytes) {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).map_err(|_| Failure::invalid(format!("{what} is not UTF-8")))
}

/// The longest message, in bytes, whatever body_bytes_max says: a longer one is surely a mistake, and is not even looked at.
pub(super) const DATA_BYTES_MAX: usize = 1 << 30;

/// The same, of a message's data.
///
/// # Safety
/// As for [`bytes`].
pub(super) unsafe fn payload<'a>(data: *const c_char, len: usize) -> Result<&'a [u8], Failure> {
    // SAFETY: the caller's promise is the same.
    unsafe { bytes(data, len, DATA_BYTES_MAX, "data") }
}

/// Lends `count` values at `pointer`, `max` bytes of them at most.
///
/// # Safety
/// `pointer` points to `count` values of `T` for as long as the result is used, if `count` is not too large.
pub(super) unsafe fn values<'a, T>(pointer: *const T, count: usize, max: usize, what: &str) -> Result<&'a [T], Failure> {
    let count_max = max / size_of::<T>();
    if count > count_max {
        return Err(Failure::invalid(format!("{what} are {count}, at most {count_max} are taken")));
    }
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Failure::invalid(format!("{what} is a null pointer or not aligned")));
    }
    // SAFETY: not null, aligned, and readable as the caller promises.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// Says what is wrong with where a call is to write what it makes.
pub(super) fn check_out<T>(out: *mut T) -> Result<(), Failure> {
    if out.is_null() || !out.is_aligned() {
        return Err(Failure::invalid("out is a null pointer or not aligned"));
    }
    Ok(())
}

/// Copies `text` into the host's `buffer` of `size` bytes, with a NUL behind it if there is room; returns its length.
///
/// # Safety
/// `buffer` points to `size` writable bytes.
pub(super) unsafe fn fill(buffer: *mut c_char, size: usize, text: &str) -> Result<isize, Failure> {
    if buffer.is_null() {
        return Err(Failure::invalid("buffer is a null pointer"));
    }
    if text.len() > size {
        return Err(Failure::invalid(format!("buffer has {size} bytes, {} are needed", text.len())));
    }
    // SAFETY: both are as long as said, and nobody else has the host's buffer during the call.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len());
        if text.len() < size {
            buffer.add(text.len()).write(0);
        }
    }
    Ok(text.len() as isize)
}
