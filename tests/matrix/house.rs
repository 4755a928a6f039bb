//! A server with clients around it in virtual time, who show what they like; and a host program that always says the same.

use crate::common::papers::Papers;
use crate::common::transcript::text_frame;
use crate::common::world::{Manner, SEED, World};
use encke::Config;
use encke::access::Keyring;
use encke::base::client::{Client, Place};
use encke::base::event::EventKind;
use encke::base::payload::Parts;
use encke::engine::{Crowded, Door, Landlord};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

/// The origin whose pages may read and act.
pub const ORIGIN: &str = "https://pages.example";

/// What every house is set to, unless a rule says otherwise.
const OPTIONS: [(&str, &str); 9] = [
    ("connections_max", "20"),
    ("jitter", "off"),
    ("heartbeat", "off"),
    ("life_span", "off"),
    ("bayeux_browser_connects", "off"),
    ("anonymous_subscribe", "/public/**"),
    ("jsonp_channels", "/**"),
    ("origin", ORIGIN),
    ("token_cookie", "pass"),
];

/// What is shown: each is a line for [`Papers`].
const PAPERS: [&str; 10] = [
    "token ann sub=/a pub=/a",
    "token some sub=/a/* pub=/a/*",
    "token all sub=/** pub=/**",
    "token short user=ann sub=/a pub=/a ends=1s",
    "token ends user=ann sub=/a pub=/a ends=20s",
    "token ben sub=/a",
    "key shop /a",
    "name room /a",
    "name gone /a ends=1s",
    "token both sub=/a,/b",
];

pub struct House {
    pub world: World,
    config: Config,
    papers: Papers,
    /// What the host program says to each question.
    pub allows: bool,
    /// By which door clients come.
    pub door: Door,
    answered: usize,
}

impl House {
    pub fn new(options: &[(&str, &str)]) -> House {
        let mut config = Config::default();
        for (name, value) in OPTIONS.iter().chain(options) {
            config.set(name, value).unwrap_or_else(|error| panic!("{error}"));
        }
        config.check().unwrap_or_else(|error| panic!("{error}"));
        let mut papers = Papers::default();
        PAPERS.iter().for_each(|line| papers.add(line).expect("what is shown"));
        let mut world = World::new(&config, 1, Manner::default());
        world.take_keys(&config, papers.keyring());
        if config.connections_per_user > 0 {
            world.have_landlord(&(Arc::new(OneEach::default()) as Arc<dyn Landlord>));
        }
        House { world, config, papers, allows: true, door: Door::Public, answered: 0 }
    }

    /// The keys are read anew; those of applications are still there, or are not.
    pub fn read_keys(&mut self, with_applications: bool) {
        let keyring = if with_applications { self.papers.keyring() } else { Papers::default().keyring() };
        self.world.take_keys(&self.config, keyring);
    }

    /// A new connection.
    pub fn open(&mut self) -> usize {
        self.world.open("client", self.door, 0);
        self.world.clients.len() - 1
    }

    /// A text with what is shown in the places of its `\<names>`.
    pub fn show(&self, text: &str) -> String {
        self.papers.show(text)
    }

    /// A client sends this, and the host program answers what it is asked for that. Returns what the client receives.
    pub fn send(&mut self, client: usize, text: &str) -> String {
        let known = self.world.clients[client].received.len();
        let text = self.show(text);
        self.world.send(client, text.as_bytes());
        self.answer();
        self.received(client, known)
    }

    /// The same on a WebSocket.
    pub fn say(&mut self, client: usize, text: &str) -> String {
        let known = self.world.clients[client].received.len();
        let frame = text_frame(self.show(text).as_bytes());
        self.world.send(client, &frame);
        self.answer();
        self.received(client, known)
    }

    fn answer(&mut self) {
        let asked = |world: &World| world.host.heard.iter().filter(|event| event.kind == EventKind::Subscribe).count();
        while self.answered < asked(&self.world) {
            self.answered += 1;
            let question = self.world.host.question(self.answered);
            self.world.answer(question, self.allows);
        }
    }

    /// How many bytes a client has received.
    pub fn count(&self, client: usize) -> usize {
        self.world.clients[client].received.len()
    }

    /// What a client received behind so many bytes.
    pub fn received(&self, client: usize, known: usize) -> String {
        String::from_utf8_lossy(&self.world.clients[client].received[known..]).into_owned()
    }

    /// The application publishes.
    pub fn publish(&mut self, channel: &str, data: &str) {
        let unix_ms = self.world.now().unix_ms;
        self.world.publish(&Parts { channel, content_type: "", event: "", data: data.as_bytes(), unix_ms });
    }
}

/// Lets each user have one reader.
#[derive(Debug, Default)]
struct OneEach(Mutex<HashMap<Arc<str>, Weak<()>>>);

impl Landlord for OneEach {
    fn places(&self, user: Option<&Arc<str>>, _: Option<Client>) -> Result<Place, Crowded> {
        let Some(user) = user else { return Ok(Box::new(())) };
        let mut places = self.0.lock().expect("nobody panicked");
        if places.get(user).is_some_and(|place| place.strong_count() > 0) {
            return Err(Crowded::User);
        }
        let place = Arc::new(());
        places.insert(user.clone(), Arc::downgrade(&place));
        Ok(Box::new(place))
    }
}

/// A token that says `header` and is signed by a secret: that of the house, or another one.
pub fn forged(header: &str, of_house: bool) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let secret =
        if of_house { "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" } else { "BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" };
    let mut keyring = Keyring::new(SEED);
    keyring.set_token_keys(&format!(r#"{{"keys":[{{"kty":"oct","alg":"HS256","k":"{secret}"}}]}}"#)).expect("a key set");
    let claims = r#"{"sub":"ann","exp":9999999999,"encke":{"subscribe":["/a"],"publish":["/a"]}}"#;
    let good = keyring.sign_token(None, claims).expect("a secret");
    let (_, rest) = good.split_once('.').expect("a token has parts");
    match header {
        "" => good,
        header => format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header)),
    }
}
