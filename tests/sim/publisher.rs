//! A client that publishes: one by one, in batches, pipelined, with bodies in chunks, and now and then drops a channel.
//! What the server answers goes to the model; what is not answered stays open there.

use super::dice::Dice;
use super::house::House;
use super::model::{Data, Model, Place};
use super::way::encode;
use super::wire::{Head, Piece, Responses};
use encke::engine::Door;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// The most requests that wait for their answers.
const PIPELINE_MAX: usize = 20;

/// What was asked, and which messages it was about.
enum Asked {
    One(usize),
    Batch(Vec<usize>),
    Delete,
}

struct Line {
    socket: usize,
    /// Tells this connection's messages from those of others.
    source: usize,
    responses: Responses,
    head: Option<Head>,
    body: Vec<u8>,
    asked: VecDeque<Asked>,
    /// It sends no more.
    closing: bool,
}

/// A client that publishes.
pub struct Publisher {
    pub number: usize,
    line: Option<Line>,
}

/// How a publisher goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub burst: usize,
    pub data_bytes: usize,
    pub losses: usize,
    pub deletes: usize,
    pub down_max: usize,
}

impl Publisher {
    pub fn new(number: usize) -> Publisher {
        Publisher { number, line: None }
    }

    /// One thing that a publisher may do, as chance will have it.
    pub fn act(&mut self, house: &mut House, model: &mut Model, habits: &Habits, dice: &mut Dice) {
        self.read(house, model);
        if self.line.is_some() && dice.percent(habits.losses) {
            self.lose(house, dice);
        }
        if self.line.is_none() {
            self.connect(house, habits, dice);
        }
        let Some(line) = &mut self.line else { return };
        if line.closing || line.asked.len() >= PIPELINE_MAX {
            return;
        }
        for _ in 0..dice.within(1..=habits.burst.min(PIPELINE_MAX)) {
            line.ask(house, model, habits, dice);
        }
        if dice.percent(2) {
            line.closing = true;
            house.end_sending(line.socket);
        }
    }

    /// Takes the answers that are there.
    pub fn read(&mut self, house: &mut House, model: &mut Model) {
        let Some(line) = &mut self.line else { return };
        if house.broken(line.socket) {
            self.line = None;
            return;
        }
        let bytes = house.take(line.socket, usize::MAX);
        for piece in line.responses.take(&bytes) {
            line.take(model, piece);
        }
        if house.ended(line.socket) {
            house.hang_up(line.socket);
            self.line = None;
        }
    }

    /// How many answers it waits for.
    pub fn waiting(&self) -> usize {
        self.line.as_ref().map_or(0, |line| line.asked.len())
    }

    /// Goes away for good.
    pub fn leave(&mut self, house: &mut House) {
        if let Some(line) = self.line.take() {
            house.hang_up(line.socket);
        }
    }

    fn connect(&mut self, house: &mut House, habits: &Habits, dice: &mut Dice) {
        let shard = dice.below(usize::from(house.shards())) as u16;
        let Some(socket) = house.connect(shard, Door::Private, habits.down_max) else { return };
        house.note(format_args!("publisher {} connects to shard {shard} as socket {socket}", self.number));
        let (responses, asked) = (Responses::new(), VecDeque::new());
        self.line = Some(Line { socket, source: socket, responses, head: None, body: Vec::new(), asked, closing: false });
    }

    fn lose(&mut self, house: &mut House, dice: &mut Dice) {
        let Some(line) = self.line.take() else { return };
        if dice.percent(50) { house.cut(line.socket) } else { house.hang_up(line.socket) }
    }
}

impl Line {
    fn ask(&mut self, house: &mut House, model: &mut Model, habits: &Habits, dice: &mut Dice) {
        let channel = dice.below(model.channels.len());
        let (asked, request) = match dice.below(100) {
            roll if roll < habits.deletes => {
                model.deleted(channel);
                let head = format!("DELETE /channels{} HTTP/1.1\r\nHost: localhost\r\n\r\n", encode(&model.channels[channel]));
                (Asked::Delete, head.into_bytes())
            }
            roll if roll < 80 => self.one(model, channel, habits, dice),
            _ => self.batch(model, channel, habits, dice),
        };
        house.note(format_args!("socket {} sends {:?}", self.socket, String::from_utf8_lossy(&request)));
        house.send(self.socket, &request);
        self.asked.push_back(asked);
    }

    fn one(&self, model: &mut Model, channel: usize, habits: &Habits, dice: &mut Dice) -> (Asked, Vec<u8>) {
        let data = data(model.count(), habits.data_bytes, dice);
        let record = model.sent(channel, &data, Some(self.source));
        let mut head = format!("POST /pub{} HTTP/1.1\r\nHost: localhost\r\n", encode(&model.channels[channel]));
        if !data.content_type.is_empty() {
            head += &format!("Content-Type: {}\r\n", data.content_type);
        }
        if !data.event.is_empty() {
            head += &format!("Encke-Event: {}\r\n", data.event);
        }
        (Asked::One(record), with_body(head, &data.bytes, dice))
    }

    fn batch(&self, model: &mut Model, channel: usize, habits: &Habits, dice: &mut Dice) -> (Asked, Vec<u8>) {
        let (mut records, mut body) = (Vec::new(), String::new());
        for _ in 0..dice.within(1..=habits.burst) {
            let channel = dice.below(model.channels.len());
            let data = data(model.count(), habits.data_bytes, dice);
            records.push(model.sent(channel, &data, Some(self.source)));
            let mut line = json!({ "channel": model.channels[channel], "event": data.event });
            match (&*data.content_type, std::str::from_utf8(&data.bytes)) {
                ("application/json", Ok(text)) => line["data"] = serde_json::from_str(text).expect("JSON"),
                (_, Ok(text)) => line["data"] = text.into(),
                (_, Err(_)) => {
                    use base64::Engine as _;
                    line["data"] = base64::engine::general_purpose::STANDARD.encode(&data.bytes).into();
                    line["encoding"] = "base64".into();
                }
            }
            if !matches!(&*data.content_type, "" | "application/json") {
                line["type"] = data.content_type.clone().into();
            }
            body += &format!("{line}\n");
        }
        let path = if dice.percent(50) { encode(&model.channels[channel]) } else { String::new() };
        let head = format!("POST /pub{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n");
        (Asked::Batch(records), with_body(head, body.as_bytes(), dice))
    }

    fn take(&mut self, model: &mut Model, piece: Piece) {
        match piece {
            Piece::Head(head) if head.status == 100 => {}
            Piece::Head(head) => self.head = Some(head),
            Piece::Body(bytes) => self.body.extend(bytes),
            Piece::End => {
                let (head, body) = (self.head.take().expect("a head"), std::mem::take(&mut self.body));
                let asked = self.asked.pop_front().expect("an answer follows a request");
                let body: Value = serde_json::from_slice(&body).expect("answers are JSON");
                answered(model, asked, head.status, &body);
            }
        }
    }
}

fn answered(model: &mut Model, asked: Asked, status: u16, body: &Value) {
    let place = |id: &Value| Place::parse(id.as_str().expect("an id"));
    match (asked, status) {
        (Asked::One(record), 200) => model.answered(record, place(&body["id"])),
        (Asked::Batch(records), 200 | 503) if body.get("messages").is_some() => {
            let answers = body["messages"].as_array().expect("answers");
            assert_eq!(answers.len(), records.len());
            assert_eq!(status == 200, answers.iter().all(|answer| !answer.is_null()));
            for (record, answer) in records.into_iter().zip(answers) {
                if answer.is_null() { model.refused(record) } else { model.answered(record, place(&answer["id"])) }
            }
        }
        (Asked::One(record), 408 | 503) => model.refused(record),
        (Asked::Batch(records), 408 | 503) => records.into_iter().for_each(|record| model.refused(record)),
        (Asked::Delete, 200 | 404 | 408) => {}
        (_, status) => panic!("a publisher was answered {status}: {body}"),
    }
}

/// A head's end and its body, in one of the ways to send one.
pub fn with_body(mut head: String, body: &[u8], dice: &mut Dice) -> Vec<u8> {
    if dice.percent(5) {
        head += "Expect: 100-continue\r\n";
    }
    if dice.percent(80) {
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        return [head.as_bytes(), body].concat();
    }
    head += "Transfer-Encoding: chunked\r\n\r\n";
    let mut bytes = head.into_bytes();
    let size = dice.within(1..=body.len());
    for chunk in body.chunks(size) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// The data of the message number `number`: like no other's, and in a picture, which shows of bytes only how many they
/// are and of what type, still like no other's.
pub fn data(number: usize, bytes_max: usize, dice: &mut Dice) -> Data {
    let filling = "x".repeat(dice.below(bytes_max + 1));
    let event = dice.pick(&["", "", "", "tick", "tock"]).to_owned();
    let (bytes, content_type) = match dice.below(6) {
        0 => (format!("{{\"n\":{number},\"of\":[\"{filling}\"]}}").into_bytes(), "application/json".to_owned()),
        1 => (format!("{number}\nline two ü\n\n{filling}.").into_bytes(), "text/plain".to_owned()),
        2 => ([b"\xff\0\r\n", format!("{number} {filling}").as_bytes()].concat(), format!("image/n{number}")),
        3 => (format!("id: {number}\r\ndata: {filling}\r").into_bytes(), String::new()),
        _ => (format!("{number} {filling}").into_bytes(), String::new()),
    };
    Data { bytes, content_type, event }
}
