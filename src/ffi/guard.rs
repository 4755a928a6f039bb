//! What every call goes through: finds its handle, keeps panics in, turns a failure into its code.

use super::code::{Failure, encke_code, remember};
use super::handle::{self, Handle, encke};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a fallible function returns: a success of its own, or a code.
pub(super) trait Outcome {
    /// The code as this type has it.
    fn of(code: encke_code) -> Self;
}

impl Outcome for i32 {
    fn of(code: encke_code) -> i32 {
        code as i32
    }
}

impl Outcome for isize {
    fn of(code: encke_code) -> isize {
        code as isize
    }
}

/// Runs `body` on what `handle` stands for. A panic poisons it.
pub(super) fn with<T: Outcome>(handle: *const encke, body: impl FnOnce(&Handle) -> Result<T, Failure>) -> T {
    handle::find(handle, |found| {
        let fenced = found.and_then(|handle| {
            let result = catch_unwind(AssertUnwindSafe(|| body(handle)));
            result.unwrap_or_else(|_| {
                handle.poison();
                Err(panicked())
            })
        });
        outcome(fenced)
    })
}

/// Runs `body`, which needs no handle.
pub(super) fn alone<T: Outcome>(body: impl FnOnce() -> Result<T, Failure>) -> T {
    outcome(catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(panicked())))
}

/// What a call returns: a failure is remembered, and becomes its code.
pub(super) fn outcome<T: Outcome>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| {
        remember(&failure);
        T::of(failure.code)
    })
}

pub(super) fn panicked() -> Failure {
    Failure::new(encke_code::ENCKE_EPANIC, "the library has a defect and this call met it: the handle can only be stopped")
}
