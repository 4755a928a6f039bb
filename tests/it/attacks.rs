use crate::support::attack::{self, Attack, Doors};
use crate::support::eventually;
use crate::support::process::ServerProcess;
use crate::support::scratch::{Scratch, text_of};
use crate::support::wire::{Wire, post};
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const TABLE: &str = include_str!("../attacks.txt");

/// How often all attacks are made at once at most, after each was made on its own: until that takes no more memory.
const STORMS_MAX: usize = 8;
const THREADS: usize = 8;
/// What an attack may cost the server: time on a core, on its own.
const COST_MAX: Duration = Duration::from_secs(1);
/// What the server may have grown by from one storm to the next.
const GROWTH_BYTES_MAX: u64 = 2 << 20;
/// What it may have grown by in all, from before the first attack on: four times the budget of its histories, of which as many
/// attacks as there are threads, and what an allocator keeps of that, take up to three.
const GROWTH_IN_ALL_BYTES_MAX: u64 = 4 * (16 << 20);

/// What both servers are told. Every queue is so small that the table fills it.
const OPTIONS: [&str; 15] = [
    "--reactors=2",
    "--body-bytes-max=1MiB",
    "--history-messages=10",
    "--history-budget=16MiB",
    "--channels-max=5000",
    "--connections-max=500",
    "--bayeux-sessions-max=10000",
    "--bayeux-max-interval=500ms",
    "--bayeux-timeout=500ms",
    "--channel-linger=500ms",
    "--bayeux-channels-max=100",
    "--retry=100ms",
    "--heartbeat=500ms",
    "--long-poll-timeout=500ms",
    "--demo=on",
];
/// What the hasty one is told besides.
const HASTE: [&str; 4] = ["--head-timeout=500ms", "--body-timeout=500ms", "--stall-timeout=500ms", "--idle-timeout=500ms"];

/// A server, and somebody who reads there undisturbed.
struct Target {
    server: ServerProcess,
    doors: Doors,
    hasty: bool,
    witness: Wire,
    news: usize,
    /// The longest that news was on its way.
    longest: Duration,
    _scratch: Scratch,
}

impl Target {
    fn start(hasty: bool) -> Target {
        let more: &[&str] = if hasty { &HASTE } else { &[] };
        let scratch = Scratch::new();
        let path = scratch.path("control");
        let control = format!("--control={}", text_of(&path));
        let options: Vec<&str> = OPTIONS.iter().chain(more).copied().chain([&*control]).collect();
        let server = ServerProcess::start(&options);
        let doors = Doors { public: server.public, private: server.private, control: path };
        let witness = eventually("somebody reads", || {
            let mut witness = Wire::connect(doors.public);
            witness.offer(b"GET /sub/witness?transport=sse&since=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n");
            witness.piece().is_ok().then_some(witness)
        });
        Target { server, doors, hasty, witness, news: 0, longest: Duration::ZERO, _scratch: scratch }
    }

    /// Its attacks one after the other, with what each cost the server; all that go wrong are named.
    fn suffer<'a>(&mut self, attacks: &'a [Attack]) -> Vec<(Duration, &'a str)> {
        let hasty = self.hasty;
        let (mut costs, mut wrong) = (Vec::new(), Vec::new());
        for attack in attacks.iter().filter(|attack| attack.hasty == hasty) {
            let before = self.server.time_on_cores();
            wrong.extend(attack.perform(&self.doors).err());
            self.check_alive();
            let cost = self.server.time_on_cores() - before;
            if cost > COST_MAX {
                wrong.push(format!("{}: the server took {cost:?}", attack.name));
            }
            costs.push((cost, &*attack.name));
        }
        assert!(wrong.is_empty(), "{} attacks: {}", wrong.len(), wrong.join("\n"));
        costs
    }

    /// The witness gets what is published now.
    fn check_alive(&mut self) {
        self.news += 1;
        let start = Instant::now();
        let text = format!("news {}", self.news);
        let request = post("/witness", "text/plain", &text);
        eventually("news is published", || {
            let mut publisher = Wire::connect(self.doors.private);
            publisher.offer(request.as_bytes());
            // Who is delayed may find the hasty server's patience at its end.
            publisher.response_or_end().ok().map(|answer| assert_eq!(answer.status(), 200))
        });
        self.witness.until(&format!("data: {text}\n\n"));
        self.longest = self.longest.max(start.elapsed());
    }

    /// The descriptors it has once whoever has left is let go.
    fn settled(&self, descriptors: usize) {
        eventually("all descriptors of attackers are closed", || (self.server.descriptors() <= descriptors).then_some(()));
    }
}

#[test]
fn every_attack_gets_its_answer_costs_little_and_hurts_nobody() {
    let attacks = attack::read(TABLE);
    assert!(attacks.len() >= 120, "{} attacks", attacks.len());
    let mut targets = [false, true].map(Target::start);
    let quiet = targets.each_ref().map(|target| target.server.descriptors());
    let small = targets.each_ref().map(|target| target.server.resident_bytes());
    let costs = thread::scope(|scope| {
        let threads = targets.each_mut().map(|target| scope.spawn(|| target.suffer(&attacks)));
        threads.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let dearest = costs.iter().flatten().max();
    let mut sizes: Vec<[u64; 2]> = Vec::new();
    while sizes.len() < 3 || grows(&sizes) && sizes.len() < STORMS_MAX {
        storm(&attacks, targets.each_ref().map(|target| &target.doors));
        for (target, descriptors) in targets.iter_mut().zip(quiet) {
            target.check_alive();
            target.settled(descriptors);
        }
        sizes.push(targets.each_ref().map(|target| target.server.resident_bytes()));
    }
    let longest = targets.each_ref().map(|target| target.longest);
    println!("attacks: {}, the dearest {dearest:?}, news at most {longest:?}, memory {small:?}, {sizes:?}", attacks.len());
    assert!(!grows(&sizes), "it grows: {sizes:?}");
    for (before, after) in small.iter().zip(sizes.last().expect("there were storms")) {
        assert!(*after <= before + GROWTH_IN_ALL_BYTES_MAX, "it has grown from {before} to {after}");
    }
}

/// Whether the last storm left a server larger than the one before. The first ones do: how much of them meets at once differs.
fn grows(sizes: &[[u64; 2]]) -> bool {
    let [.., before, last] = sizes else { return true };
    before.iter().zip(last).any(|(before, last)| *last > before + GROWTH_BYTES_MAX)
}

/// All attacks, as many at a time as there are threads.
fn storm(attacks: &[Attack], doors: [&Doors; 2]) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(attack) = attacks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = attack.perform(doors[usize::from(attack.hasty)]);
                    wrong.lock().expect("nobody panics with it").extend(outcome.err());
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panics with it");
    assert!(wrong.is_empty(), "{} attacks at once: {}", wrong.len(), wrong.join("\n"));
}
