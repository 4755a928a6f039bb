//! The one extension that is spoken: permessage-deflate, as a client offers it and the server agrees (RFC 7692
//! section 7.1).
//!
//! Always agreed without context takeover on both sides, which a server may demand of any client: no window
//! is kept between two messages. Then what a client says of its own window is of no matter, for one inflater with
//! the largest window reads them all; the server's window is made as small as the client asks.
//!
//! Invariant: an offer that cannot be kept to the letter is declined, and the next one looked at. None is an error.

const NAME: &str = "permessage-deflate";

/// The parameters; each may stand in an offer once.
const PARAMETERS: [&str; 4] = [SERVER_NO_CONTEXT, CLIENT_NO_CONTEXT, SERVER_WINDOW, CLIENT_WINDOW];
const SERVER_NO_CONTEXT: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";

/// What a window's size may be, written as it must be: a decimal number without leading zeros.
const WINDOW_SIZES: [(&str, u8); 8] =
    [("8", 8), ("9", 9), ("10", 10), ("11", 11), ("12", 12), ("13", 13), ("14", 14), ("15", 15)];

/// The smallest window that zlib can compress with. Nothing larger may be agreed instead, so 8 is declined.
pub(super) const WINDOW_BITS_MIN: u8 = 9;
pub(super) const WINDOW_BITS_MAX: u8 = 15;

/// That messages may be compressed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deflate {
    /// From [`WINDOW_BITS_MIN`] to [`WINDOW_BITS_MAX`], if the client asked; then the answer must name it.
    asked: Option<u8>,
}

impl Deflate {
    /// The size of the window that the server compresses with, as a power of two from 9 to 15. Messages made for
    /// a smaller window can be read with a larger one.
    pub(crate) fn window_bits(self) -> u8 {
        self.asked.unwrap_or(WINDOW_BITS_MAX)
    }

    /// The answer to the offer, as a field's value.
    pub(super) fn answer(self) -> String {
        let always = format!("{NAME}; {SERVER_NO_CONTEXT}; {CLIENT_NO_CONTEXT}");
        match self.asked {
            Some(bits) => format!("{always}; {SERVER_WINDOW}={bits}"),
            None => always,
        }
    }
}

/// The first of the offers that can be kept. They stand in the order in which the client likes them.
///
/// ```text
/// offers    = 1#( name *( ";" parameter ) )
/// parameter = token [ "=" ( token / quoted-string ) ]
/// ```
/// A quoted value must be a token once its quotes are gone: no comma and no semicolon stands inside one.
pub(super) fn negotiate(offers: &str) -> Option<Deflate> {
    offers.split(',').find_map(accept)
}

fn accept(offer: &str) -> Option<Deflate> {
    let mut pieces = offer.split(';').map(str::trim);
    if pieces.next() != Some(NAME) {
        return None;
    }
    let mut deflate = Deflate { asked: None };
    let mut seen = [false; PARAMETERS.len()];
    for piece in pieces {
        let (name, value) = parameter(piece);
        let place = PARAMETERS.iter().position(|&known| known == name)?;
        if std::mem::replace(&mut seen[place], true) {
            return None;
        }
        match (name, value) {
            (SERVER_NO_CONTEXT | CLIENT_NO_CONTEXT | CLIENT_WINDOW, None) => {}
            (CLIENT_WINDOW, Some(value)) => drop(window_bits(value)?),
            (SERVER_WINDOW, Some(value)) => {
                deflate.asked = Some(window_bits(value).filter(|&bits| bits >= WINDOW_BITS_MIN)?);
            }
            _ => return None,
        }
    }
    Some(deflate)
}

fn parameter(piece: &str) -> (&str, Option<&str>) {
    let Some((name, value)) = piece.split_once('=') else { return (piece, None) };
    let value = value.trim();
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    (name.trim(), Some(unquoted.unwrap_or(value)))
}

fn window_bits(value: &str) -> Option<u8> {
    WINDOW_SIZES.iter().find(|(text, _)| *text == value).map(|&(_, bits)| bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn answer(offers: &str) -> Option<String> {
        negotiate(offers).map(Deflate::answer)
    }

    #[test]
    fn an_offer_that_can_be_kept_is_agreed() {
        for offers in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate;client_max_window_bits=\"15\"",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
            "  permessage-deflate  ;  client_no_context_takeover  ",
            "x-webkit-deflate-frame, permessage-deflate",
            "foo; a=\"b\"; c, , permessage-deflate",
        ] {
            assert_eq!(answer(offers).as_deref(), Some(ALWAYS), "{offers}");
            assert_eq!(negotiate(offers).map(Deflate::window_bits), Some(15), "{offers}");
        }
    }

    #[test]
    fn the_servers_window_is_as_large_as_asked_and_the_answer_says_so() {
        for bits in 9..=15 {
            for quote in ["", "\""] {
                let offer = format!("permessage-deflate; server_max_window_bits = {quote}{bits}{quote}; client_max_window_bits");
                assert_eq!(answer(&offer), Some(format!("{ALWAYS}; server_max_window_bits={bits}")));
                assert_eq!(negotiate(&offer).map(Deflate::window_bits), Some(bits));
            }
        }
    }

    #[test]
    fn an_offer_that_cannot_be_kept_is_declined() {
        for parameters in [
            "server_max_window_bits=8",
            "server_max_window_bits",
            "server_max_window_bits=",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "server_max_window_bits=+9",
            "server_max_window_bits=9.0",
            "server_max_window_bits=\"9",
            "server_max_window_bits=9=9",
            "server_max_window_bits=9; server_max_window_bits=9",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=",
            "client_max_window_bits=x",
            "client_max_window_bits; client_max_window_bits=10",
            "server_no_context_takeover=1",
            "server_no_context_takeover=",
            "client_no_context_takeover=\"\"",
            "client_no_context_takeover; client_no_context_takeover",
            "Server_No_Context_Takeover",
            "mystery",
            "",
        ] {
            let offer = format!("permessage-deflate; {parameters}");
            assert_eq!(answer(&offer), None, "{offer}");
            assert_eq!(answer(&format!("{offer}, permessage-deflate")).as_deref(), Some(ALWAYS), "{offer}");
        }
        for offers in ["", ",", "permessage-bzip2", "permessage-deflatex", "foo; permessage-deflate", "=permessage-deflate"] {
            assert_eq!(answer(offers), None, "{offers}");
        }
    }

    #[test]
    fn of_several_offers_the_first_that_can_be_kept_counts() {
        let offers = "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10, \
                      permessage-deflate";
        assert_eq!(answer(offers), Some(format!("{ALWAYS}; server_max_window_bits=10")));
    }
}
