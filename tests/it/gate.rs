use crate::support::wire::Wire;
use crate::support::{config, serve};
use encke::Config;
use std::net::SocketAddr;

/// A request to publish, but for what decides whether it may.
fn publish(address: SocketAddr, host: &str, more: &str) -> u16 {
    let mut wire = Wire::connect(address);
    wire.send(format!("POST /pub/a HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: 1\r\n\r\nx"));
    wire.response().status()
}

fn inspect(address: SocketAddr, host: &str, more: &str) -> u16 {
    let mut wire = Wire::connect(address);
    wire.send(format!("GET /channels/a HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"));
    wire.response().status()
}

#[test]
fn on_loopback_no_other_sites_page_publishes_and_no_other_name_is_answered() {
    let server = serve(config(2));
    let (public, private) = (server.addresses().public[0], server.addresses().private[0]);
    for address in [public, private] {
        let own = address.to_string();
        let port = address.port();
        let origin = |text: &str| format!("Origin: {text}\r\n");
        for (host, more, expected) in [
            (own.as_str(), String::new(), 200),
            (&own, origin(&format!("http://{own}")), 200),
            (&format!("localhost:{port}"), origin(&format!("http://localhost:{port}")), 200),
            (&format!("127.0.0.2:{port}"), String::new(), 200),
            (&own, origin("https://evil.example"), 403),
            (&own, origin("null"), 403),
            (&own, origin(&format!("http://localhost:{port}")), 403),
            (&own, origin("http://127.0.0.1:1"), 403),
            (&own, origin("http://127.0.0.1"), 403),
            ("evil.example", String::new(), 403),
            (&format!("127.0.0.1.evil.example:{port}"), String::new(), 403),
            ("evil.example", origin("http://evil.example"), 403),
            ("0.0.0.0", String::new(), 403),
        ] {
            assert_eq!(publish(address, host, &more), expected, "{address}: {host} {more}");
        }
    }
    for proxied in ["X-Forwarded-For: 10.0.0.1\r\n", "Forwarded: for=10.0.0.1\r\n", "Via: 1.1 proxy\r\n"] {
        assert_eq!(publish(public, "localhost", proxied), 403, "{proxied}");
        assert_eq!(publish(private, "localhost", proxied), 200, "{proxied}");
    }
    assert_eq!(inspect(private, "localhost", ""), 200);
    assert_eq!(inspect(private, "evil.example", ""), 403);
    assert_eq!(inspect(private, "localhost", "Origin: https://evil.example\r\n"), 403);
    assert_eq!(inspect(public, "localhost", ""), 403);
}

#[test]
fn where_others_can_reach_it_only_the_private_listener_takes_messages() {
    let any = || vec!["0.0.0.0:0".into()];
    let server = serve(Config { listen: any(), private: any(), ..config(2) });
    let on_loopback = |address: SocketAddr| SocketAddr::from(([127, 0, 0, 1], address.port()));
    let (public, private) = (on_loopback(server.addresses().public[0]), on_loopback(server.addresses().private[0]));
    for (host, more) in [("localhost", ""), ("push.example", ""), ("push.example", "Origin: http://push.example\r\n")] {
        assert_eq!(publish(public, host, more), 403, "{host} {more}");
        assert_eq!(inspect(public, host, more), 403, "{host} {more}");
        assert_eq!(publish(private, host, more), 200, "{host} {more}");
        assert_eq!(inspect(private, host, more), 200, "{host} {more}");
    }
    assert_eq!(publish(private, "push.example", "Origin: https://evil.example\r\n"), 403);
    let mut stranger = Wire::connect(public);
    assert_eq!(stranger.ask("/sub/a?transport=poll").status(), 403);
    assert_eq!(stranger.ask("/sub/public/a?transport=poll").status(), 200, "what is public is for all to read");
}

#[test]
fn a_refused_message_is_nowhere() {
    let server = serve(config(2));
    let (public, private) = (server.addresses().public[0], server.addresses().private[0]);
    assert_eq!(publish(public, "evil.example", ""), 403);
    assert_eq!(Wire::connect(private).ask("/channels/a").status(), 404);
}

#[test]
fn pages_of_other_sites_may_read_as_far_as_the_operator_lets_them() {
    for origin in ["*", "https://example.org"] {
        let server = serve(Config { origin: origin.into(), ..config(1) });
        let mut wire = Wire::connect(server.addresses().public[0]);
        wire.send("GET /sub/a?transport=poll HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.org\r\n\r\n");
        let answer = wire.response();
        assert_eq!(answer.head.field("Access-Control-Allow-Origin"), Some(origin));
        for (target, allowed) in [("/sub/a", Some(origin)), ("/pub/a", None), ("/channels/a", None)] {
            wire.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://example.org\r\n\r\n"));
            let answer = wire.response();
            assert_eq!((answer.status(), answer.head.field("Access-Control-Allow-Origin")), (204, allowed), "{target}");
        }
    }
}
