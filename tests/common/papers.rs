//! What clients of a transcript show: tokens, an application's keys, signed names, all of them real.
//!
//! ```text
//! token ann sub=/a/** pub=/b ends=60s     a token of the user ann; user=ben for another, ends=1h if it is not said
//! key app /x/**                           a key of the application app, which may publish there
//! name room /room/7 ends=60s              a channel's signed name
//! ```
//! In what is sent, `\<ann>` stands for the text.

use super::world::{SEED, UNIX_MS};
use encke::access::{Keyring, api_key_line};

/// The secret that all of them are signed with.
const KEYS: &str = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}"#;

/// All that the clients of a transcript can show.
#[derive(Default)]
pub struct Papers {
    /// The keys of applications, as their file has them.
    keys: String,
    /// By name.
    texts: Vec<(String, String)>,
}

impl Papers {
    /// Takes a line that tells of one; `None` if it is none.
    pub fn add(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
        let ends_s = UNIX_MS / 1000 + value("ends=").map_or(Some(3_600), super::transcript::seconds)?;
        let list = |key: &str| value(key).map_or(String::new(), |list| format!("\"{}\"", list.replace(',', "\",\"")));
        let (name, text) = match words[..] {
            ["token", name, ..] => {
                let (user, reads, writes) = (value("user=").unwrap_or(name), list("sub="), list("pub="));
                let scope = format!(r#"{{"subscribe":[{reads}],"publish":[{writes}]}}"#);
                let claims = format!(r#"{{"sub":"{user}","exp":{ends_s},"encke":{scope}}}"#);
                (name, self.keyring().sign_token(None, &claims)?)
            }
            ["name", name, channel, ..] => (name, self.keyring().sign_name(None, channel, Some(ends_s))?),
            ["key", name, patterns] => {
                let key = format!("the-long-and-secret-key-of-{name}");
                self.keys += &format!("{}\n", api_key_line(name, &key, patterns).expect("an application"));
                (name, key)
            }
            _ => return None,
        };
        self.texts.push((name.to_string(), text));
        Some(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The keys by which they are good.
    pub fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::new(SEED);
        keyring.set_token_keys(KEYS).expect("a key set");
        keyring.set_api_keys(&self.keys).expect("keys of applications");
        keyring
    }

    /// The places in what is sent where it may be cut, but for the midst of each of them: there is nothing to be found.
    pub fn places(&self, bytes: &[u8]) -> Vec<usize> {
        let mut places: Vec<usize> = (1..bytes.len()).collect();
        for (_, text) in &self.texts {
            for at in memchr::memmem::find_iter(bytes, text) {
                places.retain(|place| !(at + 3..at + text.len() - 2).contains(place));
            }
        }
        places
    }

    /// Puts them where a line names them.
    pub fn show(&self, line: &str) -> String {
        self.texts.iter().fold(line.to_string(), |line, (name, text)| line.replace(&format!("\\<{name}>"), text))
    }
}
