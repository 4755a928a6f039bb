use crate::succession::{publish, succeed};
use crate::support::book::Book;
use crate::support::crowd::Crowd;
use crate::support::eventually;
use crate::support::ledger::Faults;
use crate::support::process::{ServerProcess, encke, signal};
use crate::support::scratch::Scratch;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CHANNELS: usize = 100;
/// Between two messages, each of which goes to a hundredth of the readers.
const PACE: Duration = Duration::from_millis(5);

/// While messages are published all the time: new options, a successor, an end.
#[test]
fn very_many_live_connections_see_a_reload_a_successor_and_an_end() {
    let full = std::env::var("ENCKE_SOAK").is_ok_and(|value| value == "1");
    let connections = if full { 10_000 } else { 400 };
    let scratch = Scratch::new();
    let path = scratch.file("encke.toml", "");
    let server = ServerProcess::of(encke(&["--listen", "127.0.0.1:0", "--private", "127.0.0.1:0", "--config", &path]));
    let book = Book::new(CHANNELS, 60);
    let mut crowd = Crowd::of_streams(server.public, &book, connections);
    let (taken, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let more = |count| {
        let goal = taken.load(Ordering::Acquire) + count;
        eventually("more is published", || (taken.load(Ordering::Acquire) >= goal).then_some(()));
    };
    let run = |crowd: &mut Crowd, acts: &mut (dyn FnMut() + Send)| {
        thread::scope(|scope| {
            let acts = scope.spawn(acts);
            while !acts.is_finished() {
                crowd.turn(Duration::from_millis(5));
            }
            acts.join().expect("no panic");
        });
    };
    thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(server.private, &book, PACE, &taken, &ended));
        run(&mut crowd, &mut || {
            more(100);
            scratch.file("encke.toml", "heartbeat = \"10s\"\nsubscriptions_max = 2\n");
            server.process.signal("HUP");
            server.process.said("options reloaded");
            more(100);
        });
        println!("reload: connections {connections}, ended {}, broken {}", crowd.ends, crowd.breaks);
        assert_eq!((crowd.ends, crowd.breaks, crowd.held), (0, 0, connections));

        let (start, mut over, mut successor) = (Instant::now(), Duration::ZERO, None);
        run(&mut crowd, &mut || {
            successor = Some(succeed(&server.process, server.process.id()));
            over = start.elapsed();
            more(100);
        });
        crowd.run_until("all are at the successor", |crowd| crowd.ends >= connections as u64 && crowd.held == connections);
        let back = start.elapsed();
        ended.store(true, Ordering::Release);
        let toil = publisher.join().expect("no panic");
        crowd.run_to_the_end();
        let (published, faults) = (taken.load(Ordering::Acquire), crowd.faults());
        println!(
            "succession: connections {connections}, taken over after {over:.2?}, all back after {back:.2?}, ended {}, broken {}, \
             published {published}, expected {}, received {}, {faults:?}, publisher {toil:?}",
            crowd.ends,
            crowd.breaks,
            crowd.due(),
            crowd.received,
        );
        assert_eq!((crowd.received, crowd.breaks, faults), (crowd.due(), 0, Faults::default()));
        assert!(crowd.ledgers().all(|ledger| ledger.notices == 0));

        let (before, start) = (crowd.ends, Instant::now());
        crowd.stays_away = true;
        assert!(signal(successor.as_ref().map_or(0, |successor| successor.0), "TERM"));
        let mut first = None;
        crowd.run_until("all are told", |crowd| {
            first = first.or((crowd.ends > before).then(|| start.elapsed()));
            crowd.ends + crowd.breaks >= before + connections as u64
        });
        println!(
            "stop: connections {connections}, ended {}, broken {}, first {:.2?}, last {:.2?}",
            crowd.ends - before,
            crowd.breaks,
            first.unwrap_or_default(),
            start.elapsed()
        );
        assert_eq!((crowd.ends - before, crowd.breaks), (connections as u64, 0));
        server.process.silent();
    });
}
