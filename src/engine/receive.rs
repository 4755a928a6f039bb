//! Bytes to requests, one after the other.
//!
//! Bytes are read where they lie, in the reactor's buffer; only an unfinished rest is kept. A request is
//! begun when the one before it is answered, though not before that answer is written: pipelined requests
//! are answered with one send.

use super::Engine;
use crate::base::time::Now;
use crate::conn::{Ask, BodyUnderWay, Decoder, Flags, State, Surroundings, asking_origin};
use crate::http::{self, Body, Chunked, Request, Version, request, response};
use crate::protocol::plain::{self, Command, reply};

/// Answers collected for one connection before further requests of it have to wait for the socket.
const OUT_BYTES_MAX: usize = 64 << 10;

impl Engine {
    /// Whether this connection takes more bytes now. While `false`, leave them in the socket:
    /// [`super::Output::Read`] says when to go on.
    pub fn wants_read(&self, token: crate::base::id::Token) -> bool {
        self.slots.live(token).is_some_and(|index| !self.slots[index].flags.has(Flags::DEAF))
    }

    /// The peer sent something.
    pub(super) fn received(&mut self, now: Now, index: u32, bytes: &[u8]) {
        let connection = &self.slots[index];
        match connection.state {
            State::Parked | State::Bayeux if self.is_socket(index) => self.heard_socket(now, index, bytes),
            // Whoever is held by the connection's last response has nothing more to say on it.
            State::Parked | State::Bayeux if connection.variant.ends_connection() => {}
            State::Closing | State::Lingering => {}
            State::Framed => self.heard_frames(now, index, bytes),
            _ => self.process(now, index, bytes),
        }
    }

    /// Goes on with requests that had to wait.
    pub(super) fn resume_reading(&mut self, now: Now, index: u32) {
        let waits = self.slots[index].rest.as_ref().is_some_and(|rest| !rest.inbox.is_empty());
        if waits {
            self.process(now, index, &[]);
        }
        let draining = self.draining && !self.succeeded;
        let connection = &mut self.slots[index];
        connection.tidy();
        let ended = connection.flags.has(Flags::ENDED);
        match connection.state {
            _ if connection.has_unsent() => {}
            State::ExpectHead if draining || ended => self.finish(now, index),
            // It hung up before it could be held.
            state if ended && state.is_held() => self.close(now, index),
            _ => {}
        }
    }

    fn process(&mut self, now: Now, index: u32, fresh: &[u8]) {
        let kept = match &mut self.slots[index].rest {
            Some(rest) if !rest.inbox.is_empty() => {
                rest.inbox.extend_from_slice(fresh);
                std::mem::take(&mut rest.inbox)
            }
            _ => Vec::new(),
        };
        let input = if kept.is_empty() { fresh } else { &kept };
        let mut used = 0;
        while used < input.len() && self.takes_requests(index) {
            match self.step(now, index, &input[used..]) {
                0 => break,
                count => used += count,
            }
        }
        let connection = &mut self.slots[index];
        let over = matches!(connection.state, State::Closing | State::Lingering);
        let unread = if over { &[][..] } else { &input[used..] };
        if !unread.is_empty() {
            connection.rest().inbox = if used == 0 && !kept.is_empty() { kept } else { unread.to_vec() };
        }
        match self.slots[index].state {
            State::Framed => self.heard_frames(now, index, &[]),
            _ => self.hear(index),
        }
    }

    /// Tells the reactor to leave bytes in the socket while there are more than one head's worth here, or to
    /// go on. Whoever is held meanwhile may have hung up before: the reactor looks, and would not do so again by itself.
    pub(super) fn hear(&mut self, index: u32) {
        let connection = &mut self.slots[index];
        let waiting = connection.rest.as_ref().map_or(0, |rest| rest.inbox.len());
        let deaf = waiting > self.limits.http.head_bytes;
        if connection.flags.has(Flags::DEAF) && (!deaf || connection.state.is_held()) {
            self.orders.push_back(super::Output::Read(self.slots.token(index)));
        }
        self.slots[index].flags.set(Flags::DEAF, deaf);
    }

    fn takes_requests(&self, index: u32) -> bool {
        let connection = &self.slots[index];
        let unsent = connection.rest.as_ref().map_or(0, |rest| rest.out.len());
        matches!(connection.state, State::ExpectHead | State::ExpectBody) && unsent < OUT_BYTES_MAX
    }

    /// Takes a head or some of a body off `input`; returns how many bytes that were, 0 if more are needed.
    fn step(&mut self, now: Now, index: u32, input: &[u8]) -> usize {
        match self.slots[index].state {
            State::ExpectBody => self.body(now, index, input),
            State::ExpectHead if self.begins_framed(index, input) => {
                self.begin_framed(now, index);
                0
            }
            _ => self.head(now, index, input),
        }
    }

    fn head(&mut self, now: Now, index: u32, input: &[u8]) -> usize {
        let rest = self.slots[index].rest();
        let begun = rest.scanned > 0;
        match request::find_head(input, &mut rest.scanned, &self.limits.http) {
            Ok(Some(len)) => {
                rest.scanned = 0;
                self.request(now, index, &input[..len], &input[len..])
            }
            Ok(None) => {
                if !begun {
                    self.end_state_after(now.tick, index, self.durations.head);
                }
                0
            }
            Err(reject) => {
                self.log_begin(now, index, None);
                self.begin_answer(index, Version::Http11, false, false);
                self.refuse(now, index, &reject, true);
                input.len()
            }
        }
    }

    /// A whole head, and what is there of its body: returns how much of both was taken.
    fn request(&mut self, now: Now, index: u32, head: &[u8], behind: &[u8]) -> usize {
        let mut room = request::room();
        let request = match request::parse(head, &self.limits.http, &mut room) {
            Ok(request) => request,
            Err(reject) => {
                self.log_begin(now, index, None);
                self.begin_answer(index, Version::Http11, false, false);
                self.refuse(now, index, &reject, true);
                return head.len() + behind.len();
            }
        };
        self.log_begin(now, index, Some(&request));
        let last = !request.keep_alive || self.draining;
        self.begin_answer(index, request.version, request.method == http::Method::Head, last);
        self.note_client(index, &request);
        self.slots[index].rest().origin = asking_origin(&request, self.policy.origins.only());
        let mut around = Surroundings {
            door: self.slots[index].door,
            address: self.host.address(index),
            unix_ms: now.unix_ms,
            bad_wait_ms: self.bad_wait(now, index),
            policy: &self.policy,
            access: &mut self.access,
            user: None,
        };
        let ask = Ask::read(&request, &mut around);
        let user = around.user;
        self.log_user(index, &user);
        let ask = match ask {
            Ok(ask) => ask,
            Err(reject) => {
                let reject = self.count_bad(now, index, reject);
                // Its body, if it has one, is not worth reading just to be able to go on behind it.
                let channels: Vec<_> = plain::subject(request.path).into_iter().collect();
                self.refuse_for(now, index, &reject, !matches!(request.body, Body::None), &channels);
                return head.len();
            }
        };
        head.len() + self.request_with(now, index, &request, ask, behind)
    }

    /// Performs a request whose body is there or that has none; otherwise waits for the body. Returns how
    /// much of `behind` belonged to it.
    fn request_with(&mut self, now: Now, index: u32, request: &Request<'_, '_>, ask: Ask, behind: &[u8]) -> usize {
        let decoder = match request.body {
            Body::None | Body::Sized(0) => {
                self.perform(now, index, ask, &[]);
                return 0;
            }
            Body::Sized(len) if len <= behind.len() as u64 => {
                let len = len as usize;
                self.perform(now, index, ask, &behind[..len]);
                return len;
            }
            Body::Sized(len) => Decoder::Sized(usize::try_from(len).unwrap_or(usize::MAX)),
            Body::Chunked => Decoder::Chunked(Chunked::default()),
        };
        if request.expect_continue && behind.is_empty() {
            self.slots[index].out().extend_from_slice(response::CONTINUE);
            self.log_interim(index, response::CONTINUE.len());
            self.enqueue(index);
        }
        self.slots[index].rest().body = Some(Box::new(BodyUnderWay { ask, decoder, data: Vec::new() }));
        self.slots.turn(index, State::ExpectBody);
        self.end_state_after(now.tick, index, self.durations.body);
        0
    }

    fn body(&mut self, now: Now, index: u32, input: &[u8]) -> usize {
        let body_bytes = self.limits.http.body_bytes;
        let rest = self.slots[index].rest();
        let Some(body) = &mut rest.body else { return 0 };
        let progress = match &mut body.decoder {
            Decoder::Sized(missing) => {
                let count = input.len().min(*missing);
                body.data.extend_from_slice(&input[..count]);
                *missing -= count;
                Ok((count, *missing == 0))
            }
            Decoder::Chunked(chunked) => chunked.decode(input, &mut body.data, body_bytes),
        };
        match progress {
            Ok((count, false)) => count,
            Ok((count, true)) => {
                if let Some(body) = rest.body.take() {
                    let BodyUnderWay { ask, data, .. } = *body;
                    self.perform(now, index, ask, &data);
                }
                count
            }
            Err(reject) => {
                rest.body = None;
                self.refuse(now, index, &reject, true);
                input.len()
            }
        }
    }

    fn begin_answer(&mut self, index: u32, version: Version, head_only: bool, last: bool) {
        let flags = &mut self.slots[index].flags;
        flags.set(Flags::HTTP10, version == Version::Http10);
        flags.set(Flags::HEAD_ONLY, head_only);
        flags.set(Flags::LAST, last);
        flags.set(Flags::SHARED, false);
        if let Some(rest) = &mut self.slots[index].rest {
            rest.origin = 0;
        }
    }

    fn perform(&mut self, now: Now, index: u32, ask: Ask, body: &[u8]) {
        // Whoever asks on has what was answered, unless it was not even written.
        if !self.slots[index].has_unsent() {
            self.arrived(index);
        }
        match ask {
            Ask::Hold(_) if self.draining && !self.succeeded => self.refuse(now, index, &reply::stopping(), true),
            Ask::Hold(hold) => self.admit(now, index, hold),
            Ask::RollCall(call) => self.call_roll(now, index, call),
            Ask::Preflight(preflight) => self.preflight(now, index, preflight),
            Ask::Publish(publish, speaker) => self.publish_of_client(now, index, &publish, &speaker, body),
            Ask::Renew(session, proof) => self.renew_held(now, index, &session, &proof),
            Ask::Bayeux(call) if call.upgrade.is_some() => self.open_socket(now, index, *call),
            Ask::Bayeux(call) => self.called(now, index, *call, body),
            Ask::Command(command) => self.command(now, index, &command, body),
        }
    }

    fn command(&mut self, now: Now, index: u32, command: &Command, body: &[u8]) {
        match command {
            Command::Publish(publish) => self.publish(now, index, publish, body),
            Command::Inspect(name) => self.inspect(now, index, name),
            Command::Delete(name) => self.delete(now, index, name),
            Command::Frames => self.accept_frames(now, index),
            Command::Metrics => self.ask_metrics(now, index),
            Command::Why(about) => self.ask_why(now, index, about),
            Command::Verdict(verdict) => {
                self.counters.verdicts[verdict.place()] += 1;
                self.reply(now, index, reply::counted);
            }
            Command::Script(script) => self.reply(now, index, |out, dress| reply::script(out, dress, *script)),
            Command::Demo(demo) => self.reply(now, index, |out, dress| reply::demo(out, dress, *demo)),
            Command::AskForJob(job) => self.ask_for_job(now, index, job),
            Command::StartOfDemos => self.reply(now, index, reply::start_of_demos),
            Command::Page(page) => self.reply(now, index, |out, dress| reply::page(out, dress, *page)),
            Command::Subscribe(_) | Command::Socket | Command::Probe | Command::Members(..) => {
                unreachable!("these are asked in ways of their own")
            }
        }
    }

    /// The peer will send no more.
    pub(super) fn ended(&mut self, now: Now, index: u32) {
        let connection = &mut self.slots[index];
        connection.flags.set(Flags::ENDED, true);
        // Who answers our end with its own was not the one to leave.
        self.counters.gone_left += u64::from(connection.state != State::Lingering);
        let unsent = connection.has_unsent();
        match connection.state {
            // Whoever is held and hangs up is gone; a body that breaks off is no request.
            State::Parked | State::Judged | State::Joining | State::Bayeux => self.close(now, index),
            State::ExpectBody | State::Lingering => self.close(now, index),
            State::ExpectHead if !unsent => self.close(now, index),
            State::Framed => self.heard_frames(now, index, &[]),
            State::ExpectHead | State::Asking | State::Closing | State::Moving => {}
        }
    }

    /// The peer will send no more, though not all that it sent was read: whoever is held and hangs up is gone. Anybody else is
    /// answered what can be, and then read to the end.
    pub(super) fn hung_up(&mut self, now: Now, index: u32) {
        if self.slots[index].state.is_held() {
            self.counters.gone_left += 1;
            self.close(now, index);
        }
    }

    /// The last answer is written: the connection ends without cutting it off.
    pub(super) fn finish(&mut self, now: Now, index: u32) {
        if self.slots[index].flags.has(Flags::ENDED) {
            return self.close(now, index);
        }
        self.orders.push_back(super::Output::Shutdown(self.slots.token(index)));
        self.slots.turn(index, State::Lingering);
        self.slots[index].tidy();
        self.end_state_after(now.tick, index, super::deadlines::LINGER_MS);
    }
}
