//! The life of a client that reads: it subscribes by any transport, loses its connection, sleeps, and comes back
//! anywhere with its cursor. What it is told goes to its [`Memory`], which knows what it must be told next.

use super::decode::{Decoder, News};
use super::dice::Dice;
use super::house::House;
use super::memory::Memory;
use super::model::{Model, Place};
use super::shown::Shown;
use super::socket;
use super::way::{TRANSPORTS, Transport, Way};
use super::wire::{Head, Piece, Responses};
use super::wish::Wish;
use encke::engine::Door;

/// The chance, in a hundred, that a reader without a connection makes one when it could.
const CONNECT: usize = 40;
/// The chance, in a hundred steps, that the client of a WebSocket wishes for something, or closes it.
const WISH: usize = 15;
const CLOSE: usize = 2;

/// How many messages readers got by each of [`TRANSPORTS`].
pub type Deliveries = [u64; TRANSPORTS.len()];

/// A reader's end of a connection.
pub struct Line {
    pub socket: usize,
    responses: Responses,
    /// The request that waits for its response, or is being answered.
    pub asked: Option<Asked>,
}

pub struct Asked {
    pub way: Way,
    head: Option<Head>,
    body: Vec<u8>,
    decoder: Decoder,
    /// On a WebSocket: what was said and has yet to be answered.
    pub wish: Option<Wish>,
    /// On a WebSocket: its channels are subscribed to.
    pub joined: bool,
    /// On a WebSocket: its client has said that this is the end.
    closing: bool,
}

/// A client that reads.
pub struct Reader {
    pub memory: Memory,
    pub line: Option<Line>,
    /// How often it has asked.
    pub requests: u64,
    /// Steps for which it neither reads nor asks.
    asleep: usize,
    /// It was last told that there is no room for its channels.
    pub refused: bool,
    /// It asks for nothing more.
    pub leaving: bool,
    pub deliveries: Deliveries,
}

/// A request of a reader that has not been answered to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub socket: usize,
    /// Which of the reader's requests it is.
    pub request: u64,
    /// Whether it is a stream, and has begun.
    pub stream: bool,
}

/// What a reader may do beside reading.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub losses: usize,
    pub naps: usize,
    pub buffer: (usize, usize),
}

impl Reader {
    pub fn new(number: usize, channels: Vec<usize>) -> Reader {
        Reader {
            memory: Memory::new(number, channels),
            line: None,
            requests: 0,
            asleep: 0,
            refused: false,
            leaving: false,
            deliveries: Deliveries::default(),
        }
    }

    pub fn number(&self) -> usize {
        self.memory.number
    }

    pub fn is_on(&self, channel: usize) -> bool {
        self.memory.channels.contains(&channel)
    }

    pub fn is_awake(&self) -> bool {
        self.asleep == 0
    }

    pub fn wake(&mut self) {
        self.asleep = 0;
    }

    /// One thing that a reader may do, as chance will have it.
    pub fn act(&mut self, house: &mut House, model: &mut Model, habits: &Habits, dice: &mut Dice) {
        if self.asleep > 0 {
            self.asleep -= 1;
        } else if dice.percent(habits.naps) {
            self.asleep = dice.within(1..=60);
        } else if self.line.is_some() && dice.percent(habits.losses) {
            self.lose(house, dice);
        } else if self.line.is_none() {
            if dice.percent(CONNECT) {
                self.connect(house, habits, dice);
                self.ask(house, model, false, dice);
            }
        } else {
            let most = dice.pick(&[1, 20, 200, 5_000]);
            self.read(house, model, most, dice);
            self.speak(house, model, dice);
            if dice.percent(CONNECT) {
                self.ask(house, model, false, dice);
            }
        }
        self.refused = false;
    }

    /// All that it can do now to be up to date, and nothing else.
    pub fn catch_up(&mut self, house: &mut House, model: &mut Model, habits: &Habits, dice: &mut Dice) {
        if self.asleep > 0 {
            return;
        }
        self.read(house, model, usize::MAX, dice);
        if self.leaving || self.refused {
            return;
        }
        if self.line.is_none() {
            self.connect(house, habits, dice);
        }
        self.ask(house, model, true, dice);
    }

    /// Goes away for good.
    pub fn leave(&mut self, house: &mut House) {
        self.hang_up(house);
        self.leaving = true;
    }

    /// How it is held now.
    pub fn held(&self) -> Option<Held> {
        let line = self.line.as_ref()?;
        let asked = line.asked.as_ref()?;
        let stream = asked.way.transport.streams() && asked.head.is_some();
        Some(Held { socket: line.socket, request: self.requests, stream })
    }

    /// Whether a stream has no sign of life for it: parts have none but the last message once more.
    pub fn may_be_silent(&self, model: &Model) -> bool {
        let asked = self.line.as_ref().and_then(|line| line.asked.as_ref());
        let replace = asked.is_some_and(|asked| asked.way.transport == Transport::Replace);
        replace && !self.memory.can_be_shown_again(model)
    }

    /// All is at rest: panics unless all that it was not told was rightly left out.
    pub fn rests(&mut self, model: &Model) {
        self.memory.check_left_out(model);
    }

    /// Panics unless it has come to `head` in `channel`, as far as it has been told where it is.
    pub fn check_up_to_date(&mut self, model: &mut Model, channel: usize, head: &Place) {
        let Some(asked) = self.line.as_ref().and_then(|line| line.asked.as_ref()) else { return };
        let transport = asked.way.transport;
        if transport.shows() {
            self.memory.check_shown(model, asked.way.picture, head);
        }
        let Some(seen) = self.memory.place(channel) else { return };
        if transport == Transport::Replace && seen != head {
            // Nobody can say that what came was given up before it could be shown.
            assert!(head.offset == 0 && model.may_begin_anew(channel) || model.may_be_dropped(channel, head));
            return;
        }
        assert_eq!(seen, head, "reader {} has not come by {transport:?} to the head of its channel {channel}", self.number());
    }

    // Connections.

    fn connect(&mut self, house: &mut House, habits: &Habits, dice: &mut Dice) {
        let shard = dice.below(usize::from(house.shards())) as u16;
        let (least, most) = habits.buffer;
        let Some(socket) = house.connect(shard, Door::Public, dice.within(least..=most)) else { return };
        house.note(format_args!("reader {} connects to shard {shard} as socket {socket}", self.number()));
        self.line = Some(Line { socket, responses: Responses::new(), asked: None });
    }

    fn lose(&mut self, house: &mut House, dice: &mut Dice) {
        let Some(line) = self.line.take() else { return };
        house.note(format_args!("reader {} loses socket {}", self.number(), line.socket));
        if dice.percent(50) { house.cut(line.socket) } else { house.hang_up(line.socket) }
    }

    /// Ends its connection, if it has one.
    pub fn hang_up(&mut self, house: &mut House) {
        if let Some(line) = self.line.take() {
            house.hang_up(line.socket);
        }
    }

    /// Sends a request, unless one waits for its answer. With `held`, only one that ends with being held.
    fn ask(&mut self, house: &mut House, model: &Model, held: bool, dice: &mut Dice) {
        if self.line.as_ref().is_none_or(|line| line.asked.is_some()) {
            return;
        }
        self.memory.look_away(model);
        if !held && self.memory.cursor.is_some() && dice.percent(10) {
            self.change_channels(dice);
        }
        let way = Way::pick(&self.memory, model, held, dice);
        let host = format!("Host: localhost\r\n{}", house.papers(self.number()));
        let request = way.request(&self.memory, model, dice).replacen("Host: localhost\r\n", &host, 1);
        if way.transport.shows() {
            self.memory.shown = Shown::since(model.now_ms);
        }
        let number = self.number();
        let Some(line) = &mut self.line else { return };
        self.requests += 1;
        house.note(format_args!("reader {number} asks on socket {}: {request:?}", line.socket));
        house.send(line.socket, request.as_bytes());
        line.asked = Some(Asked {
            way,
            head: None,
            body: Vec::new(),
            decoder: Decoder::Nothing,
            wish: None,
            joined: !way.empty,
            closing: false,
        });
    }

    /// Drops a channel, and names the others in another order: the cursor speaks for those it has.
    fn change_channels(&mut self, dice: &mut Dice) {
        let memory = &mut self.memory;
        let mut places: Vec<(usize, Option<Place>)> = memory.channels.drain(..).zip(memory.seen.drain(..)).collect();
        if places.len() > 1 && dice.percent(50) {
            places.pop();
        }
        dice.shuffle(&mut places);
        (memory.channels, memory.seen) = places.into_iter().unzip();
    }

    /// On a WebSocket: wishes for something, or says that this is the end.
    fn speak(&mut self, house: &mut House, model: &Model, dice: &mut Dice) {
        let Some(asked) = self.line.as_ref().and_then(|line| line.asked.as_ref()) else { return };
        let open = asked.way.transport == Transport::WebSocket && asked.head.is_some() && asked.joined;
        if !open || asked.closing || asked.wish.is_some() {
            return;
        }
        if dice.percent(CLOSE) {
            self.close(house, dice);
        } else if !asked.way.raw && dice.percent(WISH) {
            self.wish(house, model, dice);
        }
    }

    /// On a WebSocket: says that this is the end, once.
    fn close(&mut self, house: &mut House, dice: &mut Dice) {
        let Some(line) = &mut self.line else { return };
        let before = line.asked.as_mut().map(|asked| std::mem::replace(&mut asked.closing, true));
        if before == Some(false) {
            house.send(line.socket, &socket::close(dice));
        }
    }

    /// On a WebSocket: somebody is there, as long as this is not the end.
    fn pong(&mut self, house: &mut House, data: &[u8], dice: &mut Dice) {
        let Some(line) = &mut self.line else { return };
        if line.asked.as_ref().is_some_and(|asked| !asked.closing) {
            house.send(line.socket, &socket::pong(data, dice));
        }
    }

    // What comes.

    fn read(&mut self, house: &mut House, model: &mut Model, most: usize, dice: &mut Dice) {
        let Some(line) = &mut self.line else { return };
        let socket = line.socket;
        if house.broken(socket) {
            self.line = None;
            return;
        }
        let bytes = house.take(socket, most);
        for piece in line.responses.take(&bytes) {
            house.note(format_args!("reader {} gets {}", self.number(), show(&piece)));
            self.take(model, house, piece, dice);
        }
        if house.ended(socket)
            && let Some(line) = self.line.take()
        {
            // Nobody cuts an answer off but whoever breaks the connection: a stream that stalled, for one.
            house.note(format_args!("reader {} sees the end of socket {socket}", self.number()));
            if line.responses.ended() {
                self.line = Some(line);
                self.take(model, house, Piece::End, dice);
            }
            house.hang_up(socket);
            self.line = None;
        }
    }

    fn take(&mut self, model: &mut Model, house: &mut House, piece: Piece, dice: &mut Dice) {
        let Some(asked) = self.line.as_mut().map(|line| &mut line.asked) else { return };
        match piece {
            Piece::Head(head) => {
                let asked = asked.as_mut().expect("an answer follows a request");
                asked.decoder = asked.way.decoder(&head);
                asked.head = Some(head);
            }
            Piece::Body(bytes) => {
                let asked = asked.as_mut().expect("a body follows a head");
                if asked.streams() {
                    let (way, news) = (asked.way, asked.decoder.take(&bytes));
                    news.into_iter().for_each(|news| self.learn(model, house, &way, news, dice));
                } else {
                    asked.body.extend(bytes);
                }
            }
            Piece::End => {
                let mut asked = asked.take().expect("an answer follows a request");
                let head = asked.head.take().expect("a head comes first");
                self.answered(model, &asked, &head);
                if head.ends_connection() {
                    self.hang_up(house);
                }
            }
        }
    }

    /// A whole response is here.
    fn answered(&mut self, model: &mut Model, asked: &Asked, head: &Head) {
        let got = self.memory.got;
        match head.status {
            // What a stream had to say is said.
            101 | 200 if asked.way.transport.streams() => {}
            408 => assert!(head.ends_connection()),
            503 => self.refused = true,
            _ => self.memory.answered(model, &asked.way, head, &asked.body),
        }
        self.deliveries[asked.way.transport as usize] += self.memory.got - got;
    }

    /// A piece of news of a stream.
    fn learn(&mut self, model: &mut Model, house: &mut House, way: &Way, news: News, dice: &mut Dice) {
        let got = self.memory.got;
        match news {
            News::Ping(data) => self.pong(house, &data, dice),
            News::Close => self.close(house, dice),
            News::Json(json) if way.transport == Transport::WebSocket && self.is_answer(&json) => {
                self.wish_answered(house, model, &json, dice);
            }
            news => self.memory.learn(model, way, &news),
        }
        self.deliveries[way.transport as usize] += self.memory.got - got;
    }
}

impl Asked {
    fn streams(&self) -> bool {
        self.way.transport.streams() && self.head.as_ref().is_some_and(|head| matches!(head.status, 101 | 200))
    }
}

fn show(piece: &Piece) -> String {
    match piece {
        Piece::Head(head) => format!("{head:?}"),
        Piece::Body(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Piece::End => "the end".to_owned(),
    }
}
