//! What calls return, and the words that go with it.

#![allow(non_camel_case_types, reason = "C reads these names")]

use crate::base::error::Error;
use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

/// What calls return: 0 for success, else one of these, which are never reused.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum encke_code {
    /// It was done.
    ENCKE_OK = 0,
    /// The system refused something: an address in use, a socket that nobody listens on.
    ENCKE_ESYSTEM = -5,
    /// The handle is of a server that runs in this process's parent.
    ENCKE_ECHILD = -10,
    /// No room just now: nothing was taken, try again shortly.
    ENCKE_EAGAIN = -11,
    /// An argument is no good: a null pointer, no UTF-8, too long, not a channel name.
    ENCKE_EINVAL = -22,
    /// The server has stopped, or its connection broke and what was sent last may be lost.
    ENCKE_ECLOSED = -32,
    /// An option is unknown or out of its bounds.
    ENCKE_ECONFIG = -78,
    /// A defect of the library: of this handle, only encke_stop works from here on.
    ENCKE_EPANIC = -99,
    /// It did not happen in the time given.
    ENCKE_ETIMEDOUT = -110,
}

use encke_code::*;

/// Why a call failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: encke_code,
    pub(super) detail: Cow<'static, str>,
}

impl Failure {
    pub(super) fn new(code: encke_code, detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure { code, detail: detail.into() }
    }

    /// An argument is no good.
    pub(super) fn invalid(detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(ENCKE_EINVAL, detail)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let code = match &error {
            Error::Config(_) => ENCKE_ECONFIG,
            Error::Io(..) => ENCKE_ESYSTEM,
            Error::Full => return Failure::new(ENCKE_EAGAIN, "the mailbox is full: nothing was taken, try again shortly"),
            Error::Closed | Error::Lost(_) => ENCKE_ECLOSED,
            Error::Invalid(_) => ENCKE_EINVAL,
            Error::TimedOut => ENCKE_ETIMEDOUT,
        };
        Failure::new(code, error.to_string())
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Remembers the detail of this thread's last failure.
pub(super) fn remember(failure: &Failure) {
    let text = CString::new(failure.detail.replace('\0', " ")).unwrap_or_default();
    // A thread that is ending has nobody left to read it.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = text);
}

/// What went wrong in this thread's last call that failed, as a text that ends with NUL: names the option or
/// argument, its value and its bounds. Empty if none failed. Valid until this thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn encke_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// What `code` means, in one sentence that ends with NUL. Static; also for codes that are none.
#[unsafe(no_mangle)]
pub extern "C" fn encke_strerror(code: i32) -> *const c_char {
    meaning(code).as_ptr()
}

fn meaning(code: i32) -> &'static CStr {
    const TABLE: &[(encke_code, &CStr)] = &[
        (ENCKE_OK, c"done"),
        (ENCKE_ESYSTEM, c"the system refused something"),
        (ENCKE_ECHILD, c"the server of this handle runs in the parent of this process"),
        (ENCKE_EAGAIN, c"no room just now: nothing was taken, try again shortly"),
        (ENCKE_EINVAL, c"an argument is no good"),
        (ENCKE_ECLOSED, c"the server has stopped or the connection to it broke"),
        (ENCKE_ECONFIG, c"an option is unknown or out of its bounds"),
        (ENCKE_EPANIC, c"a defect of the library: this handle can only be stopped"),
        (ENCKE_ETIMEDOUT, c"it did not happen in the time given"),
    ];
    TABLE.iter().find(|(known, _)| *known as i32 == code).map_or(c"no code of this library", |(_, text)| text)
}
