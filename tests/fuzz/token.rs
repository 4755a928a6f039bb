//! A token or a signed name is good only as it was signed, byte for byte; and whatever was signed, it says no more than it may.

use super::corpus::{self, KEYS};
use crate::dice::Dice;
use encke::Config;
use encke::access::{Access, Grant, Keyring};
use encke::base::error::Reject;
use encke::base::random::Seed;
use std::sync::{Arc, LazyLock};

/// A moment at which those of the corpus are good.
const NOW_MS: u64 = 1_790_000_000_000;

static SIGNED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(corpus::tokens);

pub fn run(input: &[u8], dice: &mut Dice) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut access =
        Access::new(&Config { token_expiry: dice.pick(&["required", "optional"]).into(), ..Config::default() }, KEYS.clone());
    match dice.below(3) {
        0 => {
            for outcome in [access.of_token(text, NOW_MS), access.of_signed_name(text, NOW_MS)] {
                let is_good = check(outcome);
                assert!(!is_good || SIGNED.iter().any(|signed| signed == input), "{text}");
            }
        }
        1 => {
            let token = KEYS.sign_token(None, text).expect("there is a secret");
            let is_good = check(access.of_token(&token, NOW_MS));
            assert_eq!(check(access.of_token(&token, NOW_MS)), is_good, "the second time as the first: {text}");
            assert!(!check(access.of_signed_name(&token, NOW_MS)));
        }
        _ => {
            let name = KEYS.sign_name(None, text, Some(dice.pick(&[0, NOW_MS / 1_000 + 60]))).expect("there is a secret");
            check(access.of_signed_name(&name, NOW_MS));
            assert!(!check(access.of_token(&name, NOW_MS)));
        }
    }
}

/// Whether it is good. Then it has not ended; otherwise it says why, and nothing of a key.
fn check(outcome: Result<Arc<Grant>, Reject>) -> bool {
    match outcome {
        Ok(grant) => {
            assert!(!grant.is_over(NOW_MS), "{grant:?}");
            assert!(grant.user.as_deref().is_none_or(|user| user.len() <= 255), "{grant:?}");
            true
        }
        Err(reject) => {
            assert!(reject.status == 401 && !reject.detail.is_empty(), "{reject:?}");
            assert!(["bad_token", "bad_name", "token_expired"].contains(&reject.code), "{reject:?}");
            false
        }
    }
}

/// The files of keys are read or refused with a line.
pub fn run_files(input: &[u8], _: &mut Dice) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut keyring = Keyring::new(Seed(7, 8));
    for (outcome, begins) in [(keyring.set_token_keys(text), ["line ", "it holds "]), (keyring.set_api_keys(text), ["line "; 2])]
    {
        if let Err(what) = outcome {
            assert!(begins.iter().any(|begin| what.starts_with(begin)), "{what}");
        }
    }
    if keyring.has_secrets() {
        assert!(keyring.sign_token(None, "{}").is_some());
    }
}
