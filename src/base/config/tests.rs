//! What an operator may write, and what the table says to the rest.

use super::*;

fn set(name: &str, text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    config.set(name, text).map(|()| config).map_err(|error| error.to_string())
}

fn fault(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config::default();
    change(&mut config);
    config.check().unwrap_err().to_string()
}

#[test]
fn the_defaults_fit_each_other() {
    Config::default().check().unwrap();
}

#[test]
fn every_default_reads_back_as_it_is_shown() {
    let defaults = Config::default();
    for opt in OPTIONS {
        let text = opt.show(&defaults);
        let text = if Some(&*text) == opt.zero { "0" } else { &text };
        let config = set(&opt.name(), text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(opt.show(&config), opt.show(&defaults), "{}", opt.field);
    }
}

#[test]
fn names_follow_from_the_field() {
    let names = |field| {
        let opt = OPTIONS.iter().find(|opt| opt.field == field).unwrap();
        (opt.key, opt.name(), opt.variable())
    };
    let expected = ("long_poll_timeout", "long-poll-timeout".into(), "ENCKE_LONG_POLL_TIMEOUT".into());
    assert_eq!(names("long_poll_timeout_ms"), expected);
    assert_eq!(names("jitter_percent").0, "jitter");
    assert_eq!(names("line_bytes_max").1, "line-bytes-max");
}

#[test]
fn no_two_options_share_a_name() {
    let mut keys: Vec<&str> = OPTIONS.iter().map(|opt| opt.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), OPTIONS.len());
}

#[test]
fn no_duration_outlasts_the_tick_of_a_slot() {
    for opt in OPTIONS.iter().filter(|opt| opt.kind == Kind::Duration) {
        assert!(*opt.bounds.end() <= DURATION_MS_MAX, "{}", opt.field);
    }
    let longest = |field| *OPTIONS.iter().find(|opt| opt.field == field).unwrap().bounds.end();
    assert!(longest("life_span_ms") * (100 + longest("jitter_percent")) / 100 <= DURATION_MS_MAX);
}

#[test]
fn text_becomes_a_number_in_the_fields_unit() {
    for (text, ms) in [("500ms", 500), ("25s", 25_000), ("2m", 120_000), ("1h", 3_600_000), ("1 d", 86_400_000)] {
        assert_eq!(set("heartbeat", text).unwrap().heartbeat_ms, ms, "{text}");
    }
    for text in ["0", "off", "0s", "0ms"] {
        assert_eq!(set("heartbeat", text).unwrap().heartbeat_ms, 0, "{text}");
    }
    for (text, bytes) in [("4096", 4096), ("64KiB", 65_536), ("1mib", 1 << 20), ("2000B", 2000), ("1_024", 1024)] {
        assert_eq!(set("batch-bytes", text).unwrap().batch_bytes, bytes, "{text}");
    }
    assert_eq!(set("jitter", "20%").unwrap().jitter_percent, 20);
    assert_eq!(set("connections_max", "20_000").unwrap().connections_max, 20_000);
}

#[test]
fn lists_and_paths_are_taken_whole() {
    let listen = set("listen", "0.0.0.0:80, [::]:80").unwrap().listen;
    assert_eq!(listen, ["0.0.0.0:80", "[::]:80"]);
    assert!(set("private", "off").unwrap().private.is_empty());
    assert_eq!(set("control", "/run/encke.sock").unwrap().control.as_deref(), Some("/run/encke.sock"));
    assert_eq!(set("control", "off").unwrap().control, None);
    assert_eq!(set("origin", "https://example.org").unwrap().origin, "https://example.org");
    set("origin", "https://a.example,http://b.example:8080").unwrap().check().unwrap();
    let closed = set("origin", "off").unwrap();
    closed.check().unwrap();
    assert_eq!(closed.origin, "");
}

#[test]
fn an_error_names_option_value_and_bound() {
    for (name, text, expected) in [
        ("heartbeat", "3 weeks", "--heartbeat: \"3 weeks\" is not a duration (write 25s, 5m, 1h; off, or 100ms to 1d)"),
        ("heartbeat", "25", "--heartbeat: \"25\" is not a duration (write 25s, 5m, 1h; off, or 100ms to 1d)"),
        ("heartbeat", "2d", "--heartbeat: 2d is out of bounds (off, or 100ms to 1d)"),
        ("retry", "0", "--retry: 0 is out of bounds (100ms to 1h)"),
        ("retry", "off", "--retry: \"off\" is not a duration (write 25s, 5m, 1h; 100ms to 1h)"),
        ("batch_bytes", "64 kilos", "--batch-bytes: \"64 kilos\" is not a size (write 4096, 64KiB, 1MiB; 1KiB to 64MiB)"),
        ("batch_bytes", "99999999999GiB", "is not a size"),
        ("reactors", "1000", "--reactors: 1000 is out of bounds (0 for one a core, or 1 to 256)"),
        ("reactors", "-1", "--reactors: \"-1\" is not a count (write 1000; 0 for one a core, or 1 to 256)"),
        ("jitter", "90%", "--jitter: 90% is out of bounds (off, or 1% to 50%)"),
        (
            "listen",
            "localhost:80",
            "--listen: \"localhost:80\" is not an address (write 127.0.0.1:8080 or [::1]:8080; 1 to 16 addresses)",
        ),
        ("listen", "", "--listen: 0 addresses are out of bounds (1 to 16 addresses)"),
        ("control", "", "--control: \"\" is not a path (write /run/encke.sock; off, or 1 to 103 characters)"),
        ("origin", "a b", "--origin: \"a b\" is not a word of visible ASCII (off, or 1 to 4096 characters)"),
        ("hartbeat", "1s", "--hartbeat: there is no such option (did you mean --heartbeat?)"),
        ("xyzzy", "1s", "--xyzzy: there is no such option"),
    ] {
        let error = set(name, text).unwrap_err();
        assert!(error.ends_with(expected) || error.contains(expected) && expected.starts_with("is"), "{name}: {error}");
    }
}

#[test]
fn a_refused_value_changes_nothing() {
    let mut config = Config::default();
    assert!(config.set("heartbeat", "2d").is_err());
    assert_eq!(config.heartbeat_ms, Config::default().heartbeat_ms);
}

#[test]
fn values_that_do_not_fit_each_other_are_named_with_both_options() {
    let line = fault(|config| config.line_bytes_max = 32 << 10);
    assert_eq!(line, "--line-bytes-max: 32KiB is more than --head-bytes-max, which is 16KiB and includes the line");
    let body = fault(|config| config.body_bytes_max = 4 << 20);
    assert!(body.contains("--body-bytes-max: a message of 4MiB") && body.ends_with("--history-bytes, which is 4MiB"), "{body}");
    let history = fault(|config| config.history_bytes = 512 << 20);
    assert!(history.contains("512MiB") && history.contains("--history-budget, which is 256MiB"), "{history}");
    let address = fault(|config| config.private = config.listen.clone());
    assert_eq!(address, "--private: 127.0.0.1:8080 is taken twice, by --listen too");
    for mode in ["888", "+60", "rw-"] {
        let fault = fault(|config| config.control_mode = mode.into());
        let expected = format!("--control-mode: {mode:?} is not an octal number of three digits (write 600; 000 to 777)");
        assert_eq!(fault, expected);
    }
    let origin = fault(|config| config.origin = "https://example.org/".into());
    assert!(origin.starts_with("--origin: \"https://example.org/\" is not an origin"), "{origin}");
}

#[test]
fn port_zero_may_stand_twice() {
    let listen = vec!["127.0.0.1:0".to_string(); 2];
    Config { private: listen.clone(), listen, ..Config::default() }.check().unwrap();
}

#[test]
fn a_check_tells_everything_at_once() {
    let text = fault(|config| (config.retry_ms, config.reactors, config.line_bytes_max) = (0, 999, 32 << 10));
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn the_help_has_every_option_with_its_default_and_bound() {
    let text = help();
    for opt in OPTIONS {
        assert!(text.contains(&format!("  --{} {}\n", opt.name(), opt.kind.placeholder())), "{}", opt.field);
        assert!(!opt.help.is_empty() && opt.help.iter().all(|line| line.ends_with('.')), "{}", opt.field);
    }
    assert!(text.contains("      [25s; off, or 100ms to 1d]\n"));
    assert!(text.lines().all(|line| line.chars().count() <= 130));
}

#[test]
fn a_proxy_is_an_address_or_a_network() {
    assert!(set("trusted_proxies", "10.0.0.0/8,::1").unwrap().check().is_ok());
    let text = fault(|config| config.trusted_proxies = "10.0.0.1,nginx".into());
    assert_eq!(text, "--trusted-proxies: \"nginx\" is no address and no network (write 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32)");
}

#[test]
fn the_nearest_word_is_few_edits_away_or_none() {
    let words = ["heartbeat", "retry", "listen"];
    for (typed, expected) in [("retri", Some("retry")), ("lisen", Some("listen")), ("q", None), ("", None)] {
        assert_eq!(nearest(typed, words.iter().copied()), expected, "{typed}");
    }
}

#[test]
fn what_names_channels_or_speaks_to_a_host_is_read_when_it_is_checked() {
    for (name, bad, expected) in [
        (
            "judge",
            "chat",
            "--judge: \"chat\" is no pattern, a channel name begins with a slash (write /chat/rome, /chat/* or /chat/**)",
        ),
        ("host_channels", "/a,/b/*/c", "--host-channels: \"/b/*/c\" is no pattern"),
        ("slow_conflate", "prices", "--slow-conflate: \"prices\" is no pattern"),
        ("slow_latest", "/a,", "--slow-latest: \"\" is no pattern"),
        ("slow_disconnect", "/**/a", "--slow-disconnect: \"/**/a\" is no pattern"),
        ("judge_default", "maybe", "--judge-default: \"maybe\" is neither deny nor allow"),
        ("events", "gone,left", "--events: \"left\" is none of subscribed, unsubscribed, gone, presence, log"),
        ("presence", "/a,b", "--presence: \"b\" is no pattern"),
    ] {
        let error = set(name, bad).unwrap().check().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    for (name, good) in
        [("judge", "/a,/b/*,/**"), ("host_channels", "off"), ("judge_default", "allow"), ("events", "log,gone,presence")]
    {
        set(name, good).unwrap().check().unwrap();
    }
}

#[test]
fn demonstrations_are_shown_on_loopback_unless_told_otherwise() {
    for (listen, demo, shown) in [
        ("127.0.0.1:1,[::1]:2", "loopback", true),
        ("127.0.0.1:1,0.0.0.0:2", "loopback", false),
        ("0.0.0.0:2", "on", true),
        ("127.0.0.1:1", "off", false),
    ] {
        let mut config = set("listen", listen).unwrap();
        config.set("demo", demo).unwrap();
        config.check().unwrap();
        assert_eq!(config.shows_demos(), shown, "{listen} {demo}");
    }
    let error = set("demo", "yes").unwrap().check().unwrap_err().to_string();
    assert_eq!(error, "--demo: \"yes\" is none of on, off, loopback");
}

#[test]
fn without_a_host_nothing_may_speak_to_one() {
    Config::default().check_hostless().unwrap();
    for (name, value) in [("judge", "/**"), ("host_channels", "/a"), ("events", "gone")] {
        let error = set(name, value).unwrap().check_hostless().unwrap_err().to_string();
        let named = format!("--{}: {value:?} needs a program", name.replace('_', "-"));
        assert!(error.starts_with(&named), "{error}");
    }
}

#[test]
fn what_is_judged_at_a_url_needs_no_host_and_the_command_alone_asks_there() {
    let judged = |url: &str, timeout| Config {
        judge: "/room/*".into(),
        judge_url: url.into(),
        judge_url_timeout_ms: timeout,
        ..Config::default()
    };
    let good = judged("http://127.0.0.1:3000/may", 2_000);
    good.check().and_then(|()| good.check_hostless()).unwrap();
    assert!(good.check_unhooked().unwrap_err().to_string().starts_with("--judge-url: "));
    Config::default().check_unhooked().unwrap();
    for (config, expected) in [
        (judged("https://127.0.0.1:3000/may", 2_000), "--judge-url: \"https://127.0.0.1:3000/may\" is no URL"),
        (judged("http://a/may", 6_000), "--judge-url-timeout: 6s is longer than --judge-timeout, which is 5s"),
        (Config { judge: String::new(), ..judged("http://a/may", 2_000) }, "--judge-url: --judge is off"),
    ] {
        let error = config.check().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
