//! Starts, finds, watches and ends servers.

use super::code::{Failure, encke_code, remember};
use super::event::HostSide;
use super::handle::{self, Here, encke};
use super::options::{self, OPTIONS_BYTES_MAX};
use super::{guard, lent, signals};
use crate::reactor::{Addresses, Remote, Server};
use serde_json::Value;
use std::ffi::c_char;
use std::net::SocketAddr;
use std::time::Duration;

/// The longest address, in bytes.
const ADDRESS_BYTES_MAX: usize = 4096;

/// Starts a server in this process: threads of its own, which never run code of the host.
///
/// options: a JSON object of options_len bytes, with names of the option table ("encke serve --help", underscores for
/// dashes); values are texts, whole numbers, false for off, or lists of texts. None (options_len 0) are the defaults. The
/// private listener is off unless asked for.
/// out: the handle, to be ended with encke_stop. The same options once more in this process are the same server; it
/// ends when it was stopped as often as it was started.
///
/// Returns 0, ENCKE_ECONFIG (encke_last_error has a line for each option that is wrong), ENCKE_ESYSTEM (an address is
/// in use), ENCKE_EINVAL.
///
/// # Safety
/// options points to options_len bytes, out to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_start(options: *const c_char, options_len: usize, out: *mut *mut encke) -> i32 {
    guard::alone(|| {
        lent::check_out(out)?;
        // SAFETY: lent by the caller for this call.
        let options = unsafe { lent::text(options, options_len, OPTIONS_BYTES_MAX, "options") }?;
        let handle = handle::share(options, || start(options))?;
        // SAFETY: not null, and the caller's to be written.
        unsafe { out.write(handle) };
        Ok(0)
    })
}

fn start(options: &str) -> Result<Here, Failure> {
    let config = options::read(options)?;
    let (server, events) = signals::kept_off(|| Server::start_hosted(config.clone()))?;
    let address = address_text(server.addresses());
    let host = HostSide::new(&config, &server, events);
    Ok(Here::new(server, host, address))
}

fn address_text(addresses: &Addresses) -> String {
    let list = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    let control = addresses.control.as_ref().map(|path| path.display().to_string());
    let [public, private] = [list(&addresses.public), list(&addresses.private)].map(Value::from);
    format!("{{\"public\":{public},\"private\":{private},\"control\":{}}}", Value::from(control))
}

/// Connects to a server of another process, to publish there.
///
/// address: "unix:" and the path of the server's control socket, or "http://" and host and port of its private listener,
/// address_len bytes.
/// out: the handle, to be ended with encke_stop. All calls that publish, and encke_flush, are the same as for a server in
/// this process. It connects anew when the connection breaks, keeps what was not yet sent (8 MiB, then ENCKE_EAGAIN), and
/// says with the next encke_flush if something may be lost. It works in a child after fork. May block for seconds where a
/// name has to be looked up or the server does not answer.
///
/// Returns 0, ENCKE_ESYSTEM (nobody listens there, or it is no private listener), ENCKE_EINVAL.
///
/// # Safety
/// address points to address_len bytes, out to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_connect(address: *const c_char, address_len: usize, out: *mut *mut encke) -> i32 {
    guard::alone(|| {
        lent::check_out(out)?;
        // SAFETY: lent by the caller for this call.
        let address = unsafe { lent::text(address, address_len, ADDRESS_BYTES_MAX, "address") }?;
        let handle = handle::add(signals::kept_off(|| Remote::connect(address))?);
        // SAFETY: not null, and the caller's to be written.
        unsafe { out.write(handle) };
        Ok(0)
    })
}

/// Waits until the reactors have taken all that was published before: it is in the histories, and on its way.
///
/// ms: for how long at most, in milliseconds. Blocks.
///
/// Returns 0, ENCKE_ETIMEDOUT, ENCKE_ECLOSED (for a connection also: it broke since the last flush, and what was sent
/// before may be lost), ENCKE_EINVAL (for a connection: messages since the last flush were refused; encke_last_error
/// says how many, and why the first).
///
/// # Safety
/// None is needed: any value is answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_flush(encke: *const encke, ms: u32) -> i32 {
    guard::with(encke, |handle| {
        handle.backend().flush(Duration::from_millis(ms.into()))?;
        Ok(0)
    })
}

/// Goes on with other options, without touching a connection: new requests meet the new rules, and files that options name
/// (keys, for example) are read anew. All of it holds when this returns. An access log that was moved away is begun anew
/// whatever is returned. Blocks until each reactor has taken them, between two turns.
///
/// options: as for encke_start; an option that is not among them has its default from then on. They do not change what
/// encke_start takes for the same server: that is still what it was started with.
///
/// Returns 0, or how many options were to change and last until a restart: they stay as they were, and encke_last_error has
/// their names, one a line. ENCKE_ECONFIG (encke_last_error has a line for each option that is wrong; all stays as it
/// was), ENCKE_EINVAL (also for a connection), ENCKE_ECLOSED, ENCKE_ECHILD.
///
/// # Safety
/// options points to options_len bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_reload(encke: *const encke, options: *const c_char, options_len: usize) -> i32 {
    guard::with(encke, |handle| {
        // SAFETY: lent by the caller for this call.
        let options = unsafe { lent::text(options, options_len, OPTIONS_BYTES_MAX, "options") }?;
        let kept = handle.backend().here()?.reload(|| options::read(options))?;
        if !kept.is_empty() {
            remember(&Failure::new(encke_code::ENCKE_ECONFIG, kept.join("\n")));
        }
        Ok(kept.len() as i32)
    })
}

/// Ends the handle: waits until what was published is taken, lets answers under way finish, ends all threads.
///
/// ms: for how long at most all of that may take, in milliseconds; then connections are cut. Blocks. The handle is gone
/// whatever is returned, unless it was started more often than stopped. In a child after fork it only lets go of what is
/// the parent's.
///
/// Returns 0, ENCKE_ETIMEDOUT or another code of encke_flush (it has ended all the same), ENCKE_ECLOSED (it had been
/// stopped), ENCKE_EINVAL.
///
/// # Safety
/// None is needed: any value is answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_stop(encke: *mut encke, ms: u32) -> i32 {
    guard::alone(|| {
        if let Some(handle) = handle::remove(encke)? {
            handle.stop(Duration::from_millis(ms.into()))?;
        }
        Ok(encke_code::ENCKE_OK as i32)
    })
}

/// Where the server listens, with the real ports where port 0 was asked for, as JSON:
/// {"public":["127.0.0.1:43211"],"private":[],"control":null}
///
/// buffer: takes the text and, if there is room, a NUL; 4,096 bytes suffice.
///
/// Returns the text's length, or ENCKE_EINVAL (also for a connection), ENCKE_ECHILD.
///
/// # Safety
/// buffer points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_address(encke: *const encke, buffer: *mut c_char, size: usize) -> isize {
    guard::with(encke, |handle| {
        let here = handle.backend().here()?;
        // SAFETY: the caller's to be written.
        unsafe { lent::fill(buffer, size, &here.address) }
    })
}

/// What the server has done and holds, as JSON: {"connections":2,"channels":1,"opened":5,"published":100}
///
/// buffer: takes the text and, if there is room, a NUL; 4,096 bytes suffice.
///
/// Returns the text's length, or ENCKE_EINVAL (also for a connection), ENCKE_ECHILD.
///
/// # Safety
/// buffer points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encke_stats(encke: *const encke, buffer: *mut c_char, size: usize) -> isize {
    guard::with(encke, |handle| {
        let stats = handle.backend().here()?.publisher.stats();
        let numbers: Vec<String> = stats.entries().map(|(name, number)| format!("\"{name}\":{number}")).collect();
        // SAFETY: the caller's to be written.
        unsafe { lent::fill(buffer, size, &format!("{{{}}}", numbers.join(","))) }
    })
}
