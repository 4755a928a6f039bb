//! The server and its clients are machines of their own as far as the kernel is concerned: network namespaces with a cable
//! between them, which needs the right to make those. Without it these tests fail; they do not pass over what they are for.

use crate::limits::metric;
use crate::presence::{KEYS, here, token, told};
use crate::support::eventually;
use crate::support::process::{Running, descriptors};
use crate::support::scratch::{Scratch, text_of};
use crate::support::wire::{Wire, post};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Makes a namespace at the other end of a cable, which lives for as long as this one's stdin, and becomes the server.
const SERVER: &str = r#"
    exec 3<&0
    ip link set lo up || exit 1
    unshare --net cat <&3 >/dev/null &
    far=$!
    until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do
        kill -0 $far || exit 1
    done
    ip link add name near type veth peer name far netns $far &&
        ip addr add 10.77.0.1/24 dev near && ip link set near up &&
        nsenter --target $far --net sh -c 'ip addr add 10.77.0.2/24 dev far && ip link set far up' || exit 1
    echo "the cable ends at $far" >&2
    exec "$0" serve --listen 10.77.0.1:8080 --private off "$@"
"#;

/// Connects so many times in each way, with a token, and keeps quiet.
const CLIENTS: &str = r#"
    for ((i = 0; i < $0; i++)); do
        for transport in sse long-poll websocket; do
            exec {client}<>/dev/tcp/10.77.0.1/8080 || exit 1
            upgrade=
            [ $transport = websocket ] && upgrade=$'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
            printf 'GET /sub/public/a?transport=%s&token=%s HTTP/1.1\r\nHost: a\r\n%s\r\n' $transport "$1" "$upgrade" >&$client
        done
    done
    echo connected
    read -r _
"#;

const CHANNEL: &str = "/public/a";
const IN_EACH_WAY: u64 = 30;
const WAYS: u64 = 3;
const VANISHING: u64 = IN_EACH_WAY * WAYS;
const STAYING: u64 = 2 * WAYS;

/// When a peer is asked, and given up: see the options below.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How much later the server may come to know of it on a busy machine.
const SLACK: Duration = Duration::from_secs(12);

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// `command` in the network of a process.
fn within(process: &str, command: &[&str]) -> Command {
    let mut inside = Command::new("nsenter");
    inside.args(["--target", process, "--net"]);
    if !is_root() {
        inside.args(["--user", "--preserve-credentials"]);
    }
    inside.args(command);
    inside
}

fn connect(network: &str, count: u64, user: &str) -> Running {
    let token = token(user, CHANNEL);
    let clients = Running::start(within(network, &["bash", "-c", CLIENTS, &count.to_string(), &token]));
    assert_eq!(clients.line(), "connected");
    clients
}

/// Cuts off clients by `commands`, run at their end of the cable; messages follow them, or nothing does.
fn vanish(commands: &[&str], talks: bool) {
    let scratch = Scratch::new();
    let control = scratch.path("control");
    let mut command = Command::new("unshare");
    command.arg("--net").args((!is_root()).then_some("--map-root-user"));
    command.args(["sh", "-c", SERVER, env!("CARGO_BIN_EXE_encke"), "--control", &text_of(&control)]);
    command.args(["--heartbeat", "off", "--long-poll-timeout", "1h", "--idle-timeout", "1h", "--log-level", "debug"]);
    command.args(["--tcp-keepalive", "1s", "--tcp-user-timeout", "3s"]);
    command.args(["--presence", CHANNEL, "--presence-grace", "100ms", "--token-expiry", "optional"]);
    command.args(["--token-keys", &scratch.file("keys.json", KEYS)]);
    let server = Running::start(command);
    // What is missing says so on stderr before: ip, unshare and nsenter, or the right to make a network.
    let line = server.said("the cable ends at ");
    let far = line.rsplit(' ').next().expect("a process");
    server.said("subscribe at http://");
    let mut inspector = Wire::connect_unix(&control);
    metric(&mut inspector, "encke_connections");
    let before = descriptors(server.id());

    let staying = connect(&server.id().to_string(), STAYING / WAYS, "near");
    let vanishing = connect(far, IN_EACH_WAY, "far");
    let held = |inspector: &mut Wire| inspector.ask("/channels/public/a").member("subscribers");
    eventually("all are held", || (held(&mut inspector) == STAYING + VANISHING).then_some(()));
    let present =
        |users: &[(&str, u64)]| users.iter().map(|(user, count)| (user.to_string(), *count)).collect::<BTreeMap<_, _>>();
    let all = present(&[("far", VANISHING), ("near", STAYING)]);
    eventually("all are present", || (here(&mut inspector, CHANNEL) == all).then_some(()));
    assert_eq!(descriptors(server.id()) - before, (STAYING + VANISHING) as usize);

    for command in commands {
        let status = within(far, &["sh", "-c", command]).status().expect("nsenter");
        assert!(status.success(), "{command:?} is not possible here");
    }
    let start = Instant::now();
    if talks {
        inspector.send(post("/b", "text/plain", "to nobody"));
        assert_eq!(inspector.response().status(), 200);
        inspector.send(post("/public/a", "text/plain", "to all"));
        assert_eq!(inspector.response().status(), 200);
    }
    // A message answers the long polls of those who stay.
    let left = if talks { STAYING - STAYING / WAYS } else { STAYING };
    eventually("they are gone", || (held(&mut inspector) == left).then_some(()));
    eventually("and their descriptors", || (descriptors(server.id()) - before == STAYING as usize).then_some(()));
    eventually("and their user", || (here(&mut inspector, CHANNEL) == present(&[("near", left)])).then_some(()));
    let took = start.elapsed();
    println!("{commands:?}, talks {talks}: {VANISHING} connections were given up within {took:.1?}");
    assert!(took < TIMEOUT + SLACK, "it took {took:?}");
    let told = told(&mut inspector, CHANNEL);
    assert_eq!((&told["far"][..], &told["near"][..]), (&["join", "leave"][..], &["join"][..]));
    assert_eq!(metric(&mut inspector, "encke_gone_timed_out_total"), VANISHING);
    assert_eq!(metric(&mut inspector, "encke_connections"), STAYING + 1, "who lives and says nothing is kept");
    assert!(server.said("gave up a connection").contains("last_ack_ms="));
    drop((staying, vanishing));
}

const PULLED: &[&str] = &["ip link set far down"];
const FIREWALL: &[&str] = &[
    "nft add table inet cut",
    "nft add chain inet cut in '{ type filter hook input priority 0; policy drop; }'",
    "nft add chain inet cut out '{ type filter hook output priority 0; policy drop; }'",
];

#[test]
fn clients_whose_cable_is_pulled_are_given_up() {
    vanish(PULLED, false);
}

#[test]
fn clients_behind_a_firewall_that_closed_are_given_up() {
    vanish(FIREWALL, false);
}

#[test]
fn clients_that_do_not_acknowledge_what_they_are_sent_are_given_up() {
    vanish(FIREWALL, true);
}
