//! Channels held open for publishing: a name that is checked once, and a number that stands for it from then on.
//!
//! Like a handle, a channel is a number that looks like a pointer and is never followed. It knows its handle by number
//! too and asks for it at each publish, so whatever becomes of the handle (stopped, a panic, a fork) becomes of its
//! channels. Each thread remembers some that it used last, which saves it the table and its lock. The price: a thread
//! keeps the names of as many closed ones until it uses others, or ends.
//!
//! Invariant: a channel's number is no multiple of `STRIDE`, as a handle's is, so neither is taken for the other.

#![allow(non_camel_case_types, reason = "C reads these names")]

use super::code::{Failure, encke_code};
use super::handle::{Handle, STRIDE, encke};
use super::{guard, lent};
use crate::base::name::NAME_BYTES_MAX;
use crate::reactor::Target;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A channel that is held open for publishing. Made by encke_channel_open, ended by encke_channel_close, or with its
/// handle by encke_stop. May be used from many threads at once. Opaque: only its value counts, so one that was closed,
/// or never was one, is answered with a code.
pub struct encke_channel {
    _opaque: [u8; 0],
}

/// What a channel's number stands for.
struct Channel {
    id: usize,
    /// The number of its handle.
    handle: usize,
    target: Target,
    closed: AtomicBool,
}

impl Channel {
    fn is_usable(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }
}

/// How many channels of one process may be open. Each takes a few hundred bytes.
const CHANNELS_MAX: usize = 1 << 20;

/// How far a channel's number lies behind a multiple of `STRIDE`.
const OFFSET: usize = STRIDE / 2;

/// How many channels a thread remembers.
const RECENT_MAX: usize = 64;

thread_local! {
    /// The channels that this thread used last, each where its number says.
    static RECENT: RefCell<[Option<Arc<Channel>>; RECENT_MAX]> = const { RefCell::new([const { None }; RECENT_MAX]) };
    /// The table's lock, while this thread forks.
    static HELD: RefCell<Option<MutexGuard<'static, Table>>> = const { RefCell::new(None) };
}

static TABLE: Mutex<Table> = Mutex::new(Table { open: BTreeMap::new(), made: 0 });

struct Table {
    open: BTreeMap<usize, Arc<Channel>>,
    /// How many channels there have been.
    made: usize,
}

/// The table, locked. Nothing that waits is done meanwhile, nor is any other lock taken.
fn table() -> MutexGuard<'static, Table> {
    // Nothing under this lock is left half done by a panic.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a channel for publishing: its name is checked and found once, so that encke_channel_publish has less to do and
/// takes fewer arguments, which is most of what a call costs in languages where one is dear.
///
/// name: the channel's full name, UTF-8, name_len bytes: "/chat/rome".
/// out: the channel, to be ended with encke_channel_close. The same name once more is another of its own. A child after
/// fork may use it as it may use its handle.
///
/// Returns 0, ENCKE_EINVAL, ENCKE_EAGAIN (1,048,576 are open), ENCKE_ECLOSED, ENCKE_ECHILD.
///
/// # Safety
/// name points to name_len bytes, out to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_channel_open(
    encke: *const encke,
    name: *const c_char,
    name_len: usize,
    out: *mut *mut encke_channel,
) -> i32 {
    guard::with(encke, |handle| {
        lent::check_out(out)?;
        // SAFETY: lent by the caller for this call.
        let name = unsafe { lent::text(name, name_len, NAME_BYTES_MAX, "name") }?;
        let channel = open(handle, name)?;
        // SAFETY: not null, and the caller's to be written.
        unsafe { out.write(channel) };
        Ok(0)
    })
}

/// Publishes data to a channel, as encke_publish does to the one of a name.
///
/// Returns 0, ENCKE_EAGAIN (no room: nothing was taken), ENCKE_EINVAL (also: this is no channel), ENCKE_ECLOSED (it was
/// closed, or its handle stopped), ENCKE_ECHILD.
///
/// # Safety
/// data points to data_len bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_channel_publish(channel: *const encke_channel, data: *const c_char, data_len: usize) -> i32 {
    find(channel.addr(), |found| match found {
        Ok(channel) => guard::with(ptr::without_provenance(channel.handle), |handle| {
            // SAFETY: lent by the caller for this call.
            let data = unsafe { lent::payload(data, data_len) }?;
            handle.backend().publish_to(&channel.target, data)?;
            Ok(0)
        }),
        Err(failure) => guard::outcome(Err(failure)),
    })
}

/// Ends a channel: nothing more is published by it. What was is not touched. Any thread may, while others publish.
///
/// Returns 0, ENCKE_ECLOSED (it was closed, or its handle stopped), ENCKE_EINVAL (this is no channel).
///
/// # Safety
/// None is needed: any value is answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_channel_close(channel: *mut encke_channel) -> i32 {
    guard::alone(|| {
        let id = channel.addr();
        let mut table = table();
        let Some(channel) = table.open.remove(&id) else { return Err(unknown(id, table.made)) };
        channel.closed.store(true, Ordering::Relaxed);
        drop(table);
        let _ = RECENT.try_with(|recent| recent.borrow_mut()[place(id)] = None);
        Ok(encke_code::ENCKE_OK as i32)
    })
}

fn open(handle: &Handle, name: &str) -> Result<*mut encke_channel, Failure> {
    let target = handle.backend().target(name)?;
    let mut table = table();
    if table.open.len() >= CHANNELS_MAX {
        let detail = format!("{CHANNELS_MAX} channels are open, and there is no room for more until some are closed");
        return Err(Failure::new(encke_code::ENCKE_EAGAIN, detail));
    }
    table.made += 1;
    let id = table.made * STRIDE + OFFSET;
    let channel = Channel { id, handle: handle.id(), target, closed: AtomicBool::new(false) };
    table.open.insert(id, Arc::new(channel));
    Ok(ptr::without_provenance_mut(id))
}

/// Calls `then` with what the number `id` stands for.
fn find<T>(id: usize, then: impl FnOnce(Result<&Channel, Failure>) -> T) -> T {
    let mut then = Some(then);
    let found = RECENT.try_with(|recent| {
        let then = then.take().expect("called once");
        let place = place(id);
        let is_known = recent.borrow()[place].as_ref().is_some_and(|known| known.id == id && known.is_usable());
        if !is_known {
            match look_up(id) {
                Ok(channel) => recent.borrow_mut()[place] = Some(channel),
                Err(failure) => return then(Err(failure)),
            }
        }
        match &recent.borrow()[place] {
            Some(channel) => then(Ok(channel)),
            None => unreachable!("it was just remembered"),
        }
    });
    // A thread that is ending remembers nothing any more.
    found.unwrap_or_else(|_| match (look_up(id), then.take().expect("not yet called")) {
        (Ok(channel), then) => then(Ok(&channel)),
        (Err(failure), then) => then(Err(failure)),
    })
}

/// Where a thread remembers the channel of this number.
fn place(id: usize) -> usize {
    id / STRIDE % RECENT_MAX
}

fn look_up(id: usize) -> Result<Arc<Channel>, Failure> {
    let table = table();
    table.open.get(&id).cloned().ok_or_else(|| unknown(id, table.made))
}

fn unknown(id: usize, made: usize) -> Failure {
    if id == 0 {
        return Failure::invalid("the channel is a null pointer");
    }
    if id % STRIDE == OFFSET && id / STRIDE <= made {
        return Failure::new(encke_code::ENCKE_ECLOSED, "this channel was closed, or its handle stopped");
    }
    Failure::invalid("this is no channel")
}

/// The handle of this number was stopped, and its channels end with it.
pub(super) fn forget(handle: usize) {
    table().open.retain(|_, channel| channel.handle != handle);
    let _ = RECENT.try_with(|recent| recent.borrow_mut().fill(None));
}

/// The process is about to fork: nobody else is to be in the middle of the table.
pub(super) fn hold_table() {
    let _ = HELD.try_with(|held| *held.borrow_mut() = Some(table()));
}

/// The process has forked.
pub(super) fn let_go_of_table() {
    let _ = HELD.try_with(RefCell::take);
}
