use crate::support::wire::Wire;
use crate::support::{config, eventually, serve};
use encke::{EventKind, Server};
use std::net::SocketAddr;

/// One request on a connection of its own: the status, a field of the answer, its body.
fn ask(address: SocketAddr, line: &str, more: &str, body: &str, field: &str) -> (u16, Option<String>, String) {
    let mut wire = Wire::connect(address);
    wire.send(format!("{line} HTTP/1.1\r\nHost: {address}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len()));
    let response = wire.response();
    (response.status(), response.head.field(field).map(str::to_owned), response.text())
}

#[test]
fn a_server_that_shows_no_demonstrations_has_none() {
    let server = serve(config(1));
    let address = server.addresses().public[0];
    for line in ["GET /demo", "GET /demo/chat", "POST /demo/say", "POST /demo/ask/ticker"] {
        assert_eq!(ask(address, line, "", "", "").0, 404, "{line}");
    }
    assert!(ask(address, "GET /", "", "", "").2.contains("<nav hidden>"));
}

#[test]
fn pages_are_handed_out_once_and_as_their_source() {
    let (server, _events) = Server::start_demo(config(1)).expect("free ports");
    let (address, private) = (server.addresses().public[0], server.addresses().private[0]);
    assert!(ask(address, "GET /", "", "", "").2.contains("<nav>"));
    let (status, tag, page) = ask(address, "GET /demo/chat", "", "", "ETag");
    let tag = tag.expect("a tag");
    assert_eq!(status, 200);
    assert_eq!(ask(address, "GET /demo/chat", &format!("If-None-Match: {tag}\r\n"), "", "ETag").0, 304);
    let (status, media_type, source) = ask(address, "GET /demo/chat?source", "", "", "Content-Type");
    assert_eq!((status, media_type.as_deref(), source), (200, Some("text/plain; charset=utf-8"), page));
    assert_eq!(ask(address, "GET /demo/chat?source", "", "", "X-Content-Type-Options").1.as_deref(), Some("nosniff"));
    assert_eq!(ask(address, "POST /demo/chat", "", "", "Allow").1.as_deref(), Some("GET, HEAD, OPTIONS"));
    assert_eq!(ask(address, "GET /demo/nothing", "", "", "").0, 404);
    assert_eq!(ask(private, "GET /demo/chat", "", "", "").0, 404, "they are for the public");
}

#[test]
fn a_form_says_a_line_and_leads_back_and_no_other_site_may_say_one() {
    // The channel's home may be another reactor than that of the form.
    let (server, _events) = Server::start_demo(config(3)).expect("free ports");
    let address = server.addresses().public[0];
    let own = format!("Origin: http://{address}\r\n");
    for (more, form, expected) in [
        (own.as_str(), "name=ann&text=salve%21", 303),
        ("Origin: https://evil.example\r\n", "name=eve&text=hi", 403),
        ("Origin: null\r\n", "name=eve&text=hi", 403),
        (&own, "name=ann", 400),
    ] {
        for _ in 0..3 {
            assert_eq!(ask(address, "POST /demo/say", more, form, "").0, expected, "{more}{form}");
        }
    }
    assert_eq!(ask(address, "POST /demo/say", &own, "text=1", "Location").1.as_deref(), Some("/demo/form"));
    let said = ask(address, "GET /sub/demo/gif?transport=poll", "", "", "").2;
    assert_eq!((said.matches("ann: salve!").count(), said.matches("eve").count()), (3, 0), "{said}");
}

#[test]
fn a_page_asks_for_a_job_and_nobody_else_does() {
    let (server, events) = Server::start_demo(config(2)).expect("free ports");
    let address = server.addresses().public[0];
    let own = format!("Origin: http://{address}\r\n");
    for (job, more, expected) in [
        ("pictures", "Origin: https://evil.example\r\n", 403),
        ("money", &own, 404),
        ("ticker", &own, 204),
        ("progress", "", 204),
    ] {
        assert_eq!(ask(address, &format!("POST /demo/ask/{job}"), more, "", "").0, expected, "{job}");
    }
    for job in ["ticker", "progress"] {
        let event = eventually("an event", || events.next());
        assert_eq!((event.kind, event.data()), (EventKind::Publish, job.as_bytes()));
    }
    assert!(events.next().is_none());
}
