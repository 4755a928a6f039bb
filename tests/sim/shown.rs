//! What a reader makes of parts that replace each other, and of pictures: they show messages and never say where these
//! are, nor which browser would listen if they said what is missing.
//!
//! A reader comes to them knowing where it is, and finds its way by the messages themselves: one that is shown next to
//! another is next to it. Parts promise each message once and in order, as far as the history goes; only what it gave
//! up may be left out. Pictures promise the last lines, of neighbours, and a notice for what is missing among them;
//! what a large batch has pushed out of sight is not missed. Where nobody has told the place of anything that is in
//! sight, the reader has lost its way; at rest, the head of the channel must be what it looks at.

use super::memory::Memory;
use super::model::{Model, Place, Seen};
use super::picture;

/// The type of a part before anybody knows what comes.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// What one stream has shown.
#[derive(Default)]
pub struct Shown {
    /// There is such a stream.
    under_way: bool,
    /// When it was asked for.
    since_ms: u64,
    /// The messages, in order, each once, since the reader knows its way.
    records: Vec<usize>,
    /// What stood under another message's type, and must come again under its own.
    owed: Option<usize>,
    /// The last message came once more under its own type; what comes next tells why.
    again: bool,
    /// It may do so once, for what was before it is not there to fill a part with.
    excused: bool,
    /// How often that was a sign of life.
    beats: u64,
    /// The rows of the last picture.
    rows: Vec<String>,
}

/// What the rows of a picture are, from one on.
#[derive(Clone, Copy, Debug)]
enum Item {
    Message(usize),
    Missed(u64),
    SomeMissed,
    BeganAnew,
}

/// What is known of the first message of a run of neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// What stood above it is out of sight.
    Any,
    /// If it is new, it is the next.
    Next,
    /// It is the next, after what was missed.
    AfterGap,
    /// Its channel began anew, and it has this offset there.
    At(u64),
    /// The oldest there is.
    Oldest,
}

impl Memory {
    /// The stream ended, of whatever kind: what it has shown is put down, or nothing is known any more.
    pub fn look_away(&mut self, model: &Model) {
        let shown = std::mem::take(&mut self.shown);
        if !shown.under_way {
            return;
        }
        shown.check_order(model);
        self.seen[0] = self.seen[0].take().or_else(|| shown.place(model));
        self.cursor = self.seen[0].as_ref().map(Place::to_string);
    }

    /// Panics unless what it looks at is the end of its channel.
    pub fn check_shown(&mut self, model: &mut Model, size: (u16, u16), head: &Place) {
        self.shown.check_order(model);
        assert_eq!(self.shown.owed, None, "a message was shown under another's type only");
        self.seen[0] = self.whereabouts(model);
        if self.seen[0].is_some() || head.offset == 0 {
            return;
        }
        match (self.shown.rows.last(), self.shown.records.last(), model.record_at(head)) {
            (Some(row), _, _) if matches!(begins(row), Some(Item::Missed(_) | Item::SomeMissed | Item::BeganAnew)) => return,
            (Some(_), _, Some(record)) => {
                let (rows, text) = (&self.shown.rows, picture::layout(&model.text(self.channels[0], record), size));
                let sight = rows.len().min(text.len());
                assert_eq!(
                    rows[rows.len() - sight..],
                    text[text.len() - sight..],
                    "the picture does not end with message {record}"
                );
            }
            // What was given up before it could be shown is not told.
            (None, Some(&last), _) if !model.may_be_dropped(self.channels[0], head) => {
                model.saw_record(self.channels[0], head, last);
            }
            _ => return,
        }
        self.seen[0] = Some(head.clone());
    }

    /// Whether it was shown a message that is surely still there.
    pub fn can_be_shown_again(&self, model: &Model) -> bool {
        let channel = self.channels[0];
        let kept = |place: &Place| !model.may_be_dropped(channel, place) && !model.may_begin_anew(channel);
        self.shown.place(model).as_ref().is_some_and(kept)
    }

    /// Where it is, if that is known by now.
    fn whereabouts(&self, model: &Model) -> Option<Place> {
        self.seen[0].clone().or_else(|| self.shown.place(model))
    }

    fn lose_way(&mut self, model: &Model) {
        self.shown.check_order(model);
        self.shown.records.clear();
        self.seen[0] = None;
    }

    // Parts.

    /// A part of this type.
    pub fn see_part(&mut self, model: &mut Model, media_type: &str, bytes: &[u8]) {
        let record = model.find(Seen::Raw(bytes));
        let own = model.media_type(record);
        if let Some(owed) = self.shown.owed.take() {
            return assert_eq!((record, media_type), (owed, own), "what stood under another type comes again");
        }
        let before = self.whereabouts(model);
        let start = || before.as_ref().and_then(|before| model.record_at(before));
        let last = self.shown.records.last().copied().or_else(start);
        let first = self.shown.records.is_empty();
        if last == Some(record) {
            assert!(media_type == own || first && media_type == UNKNOWN_TYPE, "a part is replaced by itself");
            if media_type != own {
                // Ahead of all else, nobody knew yet what it would be.
                self.shown.owed = Some(record);
            } else if !std::mem::take(&mut self.shown.excused) && std::mem::replace(&mut self.shown.again, true) {
                self.shown.beat(model);
            }
            return;
        }
        let before_type = last.map_or(UNKNOWN_TYPE, |last| model.media_type(last));
        if std::mem::take(&mut self.shown.again) && before_type == own {
            self.shown.beat(model);
        }
        let channel = self.channels[0];
        let dropped = before.as_ref().is_none_or(|before| model.may_be_dropped(channel, before));
        self.shown.excused = dropped || model.may_begin_anew(channel);
        if media_type != own {
            assert!(media_type == before_type || first && media_type == UNKNOWN_TYPE, "a part of type {media_type}");
            assert!(first || self.shown.excused, "the part before could have been shown again");
            (self.shown.owed, self.shown.excused) = (Some(record), false);
        }
        self.see_next(model, before, record);
    }

    /// The next message that was not given up before it could be shown.
    fn see_next(&mut self, model: &mut Model, before: Option<Place>, record: usize) {
        assert!(!self.shown.records.contains(&record), "reader {} is shown message {record} again", self.number);
        let channel = self.channels[0];
        let sure = |before: &Place| !model.may_be_dropped(channel, &before.plus(1)) && !model.may_begin_anew(channel);
        let place = match (&before, model.place_of(record)) {
            (_, Some(place)) => Some(place.clone()),
            (Some(before), None) if sure(before) => Some(before.plus(1)),
            _ => None,
        };
        if let (Some(before), Some(place)) = (before, &place)
            && *place != before.plus(1)
        {
            self.seen[0] = Some(before);
            self.skip(model, 0, &Place { offset: place.offset - 1, ..place.clone() }, false);
        }
        if let Some(place) = &place {
            model.saw_record(channel, place, record);
        }
        self.seen[0] = place;
        self.shown.records.push(record);
        self.got += 1;
    }

    // Pictures.

    /// A picture of the last lines.
    pub fn see_picture(&mut self, model: &mut Model, size: (u16, u16), rows: &[String]) {
        assert!(rows.iter().any(|row| !row.is_empty()), "a picture of nothing replaces another");
        let channel = self.channels[0];
        let top = rows.iter().position(|row| begins(row).is_some()).unwrap_or(rows.len());
        let full = top == 0 || rows[..top].iter().any(|row| !row.is_empty());
        let (mut items, mut at) = (Vec::new(), top);
        while at < rows.len() {
            let item = begins(&rows[at]).unwrap_or_else(|| panic!("whose row is {:?} in {rows:#?}", rows[at]));
            at += match item {
                Item::Message(record) => {
                    let text = picture::layout(&model.text(channel, record), size);
                    assert!(rows[at..].starts_with(&text), "{text:#?} is not in {rows:#?}");
                    text.len()
                }
                _ => 1,
            };
            items.push(item);
        }
        self.shown.rows = rows.to_vec();
        if items.is_empty() {
            return self.lose_way(model);
        }
        let mut first = if full { First::Any } else { First::Next };
        for run in items.chunk_by(|a, b| matches!((a, b), (Item::Message(_), Item::Message(_)))) {
            first = match run {
                [Item::Missed(count)] => self.see_gap(model, *count, first),
                [Item::SomeMissed] => {
                    self.lose_way(model);
                    First::Oldest
                }
                [Item::BeganAnew] => {
                    self.lose_way(model);
                    First::At(1)
                }
                messages => {
                    let records: Vec<usize> = messages.iter().filter_map(Item::message).collect();
                    self.see_run(model, &records, first);
                    First::Any
                }
            };
        }
        if let (true, Item::Message(record)) = (full && top > 0, items[0]) {
            check_top(model, channel, record, &rows[..top], size);
        }
    }

    fn see_gap(&mut self, model: &mut Model, count: u64, first: First) -> First {
        // Out of sight it may say that the channel began anew.
        let surely = first != First::Any || !model.may_begin_anew(self.channels[0]);
        match (first, self.whereabouts(model)) {
            (First::At(offset), _) => First::At(offset + count),
            (_, Some(before)) if surely => {
                let behind = before.plus(count);
                self.seen[0] = Some(before);
                self.skip(model, 0, &behind, false);
                First::AfterGap
            }
            _ => {
                self.lose_way(model);
                First::Any
            }
        }
    }

    /// Neighbours, in order.
    fn see_run(&mut self, model: &mut Model, run: &[usize], first: First) {
        let (channel, before) = (self.channels[0], self.whereabouts(model));
        let anchor = run.iter().zip(0..).find_map(|(&record, at)| Some((model.place_of(record)?.clone(), at)));
        let next = before.as_ref().filter(|_| matches!(first, First::Next | First::AfterGap)).map(|before| (before.plus(1), 0));
        let Some((anchor, at)) = anchor.or(next) else {
            let new: Vec<usize> = run.iter().copied().filter(|record| !self.shown.records.contains(record)).collect();
            self.got += new.len() as u64;
            self.shown.records.extend(new);
            self.seen[0] = None;
            return;
        };
        assert!(anchor.offset > at, "what is above {anchor} was never there: {run:?}");
        let start = Place { offset: anchor.offset - at, ..anchor };
        for (&record, further) in run.iter().zip(0..) {
            model.saw_record(channel, &start.plus(further), record);
        }
        let end = start.plus(run.len() as u64 - 1);
        let old = self.check_run(model, before.as_ref(), &start, &end, first);
        let new = run[old..].iter().filter(|record| !self.shown.records.contains(record));
        let new: Vec<usize> = new.copied().collect();
        self.got += new.len() as u64;
        self.shown.records.extend(new);
        self.seen[0] = Some(end);
    }

    /// Panics unless one who is at `before` may be shown what is from `start` to `end`; how much of that it knows.
    fn check_run(&self, model: &Model, before: Option<&Place>, start: &Place, end: &Place, first: First) -> usize {
        match first {
            First::At(offset) => assert_eq!(start.offset, offset, "what a channel begins anew with"),
            First::Oldest if start.offset > 1 => {
                model.must_be_droppable(self.channels[0], &Place { offset: start.offset - 1, ..start.clone() });
            }
            First::AfterGap => assert_eq!(Some(start), before.map(|before| before.plus(1)).as_ref(), "what comes behind a gap"),
            _ => {}
        }
        let Some(before) = before else { return 0 };
        if before.epoch != start.epoch {
            assert_eq!(first, First::Any, "{before} is followed by {start} and nothing is told");
            assert!(model.may_begin_anew(self.channels[0]), "{start} is of another epoch than {before}");
            return 0;
        }
        assert!(before.offset <= end.offset, "reader {} was at {before} and is shown {end} as the last", self.number);
        assert!(first == First::Any || start.offset <= before.offset + 1, "{before} is followed by {start} and nothing is told");
        (before.offset + 1).saturating_sub(start.offset) as usize
    }
}

impl Shown {
    /// Of a stream that was asked for at this moment.
    pub fn since(since_ms: u64) -> Shown {
        Shown { under_way: true, since_ms, ..Shown::default() }
    }

    /// The last message came again though nothing else did: panics if it is not yet time for that.
    fn beat(&mut self, model: &Model) {
        self.beats += 1;
        let due_ms = self.beats * model.heartbeat_ms;
        assert!((1..=model.now_ms - self.since_ms).contains(&due_ms), "a message is shown again without need");
    }

    /// Where the last of the messages is, if that is known by now.
    fn place(&self, model: &Model) -> Option<Place> {
        model.place_of(*self.records.last()?).cloned()
    }

    /// Panics if messages were shown in another order than that of their places, as far as these are known.
    fn check_order(&self, model: &Model) {
        let places: Vec<&Place> = self.records.iter().filter_map(|&record| model.place_of(record)).collect();
        for pair in places.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            assert!(before.epoch != after.epoch || before.offset < after.offset, "{after} was shown behind {before}");
        }
    }
}

impl Item {
    fn message(&self) -> Option<usize> {
        match self {
            Item::Message(record) => Some(*record),
            _ => None,
        }
    }
}

/// What begins with this row of a picture. All that is published begins with what it is told by, and goes on with
/// other letters.
fn begins(row: &str) -> Option<Item> {
    if let Some(notice) = row.strip_prefix("… ").and_then(|row| row.strip_suffix(" …")) {
        return Some(match notice {
            "some missed" => Item::SomeMissed,
            "the channel began anew" => Item::BeganAnew,
            counted => {
                let count = counted.strip_suffix(" missed").and_then(|count| count.parse().ok());
                Item::Missed(count.unwrap_or_else(|| panic!("a notice: {row:?}")))
            }
        });
    }
    let digits = match row.split_once("image/n") {
        Some((bytes, number)) if bytes.starts_with('[') => number,
        _ => ["{\"n\":", "id: ", "message "].iter().find_map(|beginning| row.strip_prefix(beginning)).unwrap_or(row),
    };
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().map(Item::Message)
}

/// Above the message number `record` stands the end of the one before it, as far as that is known.
fn check_top(model: &Model, channel: usize, record: usize, top: &[String], size: (u16, u16)) {
    let Some(place) = model.place_of(record).filter(|place| place.offset > 1) else { return };
    let before = Place { offset: place.offset - 1, ..place.clone() };
    let Some(above) = model.record_at(&before) else { return };
    let text = picture::layout(&model.text(channel, above), size);
    assert!(text.len() > top.len() && text.ends_with(top), "{top:#?} is not the end of {text:#?}");
}
