use crate::support::wire::{Response, Wire};
use crate::support::{config, eventually, serve};
use flate2::read::GzDecoder;
use std::io::Read;
use std::net::SocketAddr;

fn ask(address: SocketAddr, target: &str, more: &str) -> Response {
    let mut wire = Wire::connect(address);
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n"));
    wire.response()
}

#[test]
fn the_client_is_handed_out_compressed_or_not_and_only_to_who_does_not_have_it() {
    let server = serve(config(2));
    let address = server.addresses().public[0];
    for (target, end) in [("/encke.js", "export default { connect };\n"), ("/encke.classic.js", "})();\n")] {
        let plain = ask(address, target, "");
        assert_eq!((plain.status(), plain.head.field("Content-Encoding")), (200, None));
        assert_eq!(plain.head.field("Content-Type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(plain.head.field("Access-Control-Allow-Origin"), Some("*"));
        assert!(plain.text().ends_with(end), "{target}");

        let zipped = ask(address, target, "Accept-Encoding: br, gzip\r\n");
        assert_eq!((zipped.status(), zipped.head.field("Content-Encoding")), (200, Some("gzip")));
        assert_eq!(zipped.head.field("Vary"), Some("Accept-Encoding"));
        assert!(zipped.body.len() < 10_000, "{} bytes", zipped.body.len());
        let mut unzipped = String::new();
        GzDecoder::new(&zipped.body[..]).read_to_string(&mut unzipped).expect("gzip");
        assert_eq!(unzipped, plain.text());

        let tag = plain.head.field("ETag").expect("a tag");
        for (held, status) in [(tag.to_owned(), 304), (format!("\"x\", W/{tag}"), 304), ("\"x\"".to_owned(), 200)] {
            let again = ask(address, target, &format!("If-None-Match: {held}\r\n"));
            assert_eq!((again.status(), again.head.field("ETag")), (status, Some(tag)), "{held}");
        }
    }
}

#[test]
fn numbers_and_verdicts_of_all_reactors_are_told_together() {
    let server = serve(config(3));
    let (public, private) = (server.addresses().public[0], server.addresses().private[0]);
    for number in 0..30 {
        assert_eq!(ask(public, "/probe?verdict=stream.4096", "").status(), 204);
        assert_eq!(Wire::connect(private).publish(&format!("/numbers/{number}"), "x").status(), 200);
    }
    assert_eq!(ask(public, "/probe?verdict=telegraph", "").status(), 400);
    assert_eq!(ask(public, "/metrics", "").status(), 403);
    // A reactor's numbers are those of its last turn.
    eventually("all are counted", || {
        let text = ask(private, "/metrics", "").text();
        let told = |line: &str| text.lines().any(|told| told == line);
        let counted = told("encke_clients_verdict_total{transport=\"stream\",padding=\"4096\"} 30")
            && told("encke_clients_verdict_total{transport=\"websocket\",padding=\"0\"} 0")
            && told("encke_published_total 30")
            && told("encke_refused_total 2")
            && told("# TYPE encke_connections gauge")
            && told("# HELP encke_published_total Messages kept.");
        counted.then_some(())
    });
}
