//! The files of keys that options name, read as a whole: at the start, and again at each reload.
//!
//! Whatever is wrong with one is the operator's error, which names option, file, line and fault, and never what a key consists
//! of; then nothing is given out, and whoever has a keyring goes on with that.

use super::server::system_seed;
use crate::access::Keyring;
use crate::base::config::Config;
use crate::base::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

/// A longer file is refused. A line of the longest key is well below a thousandth of it.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The right of everybody to read a file.
const READ_BY_OTHERS: u32 = 0o004;

/// What a file holds, and whether everybody may read it.
struct Text {
    text: String,
    is_open: bool,
}

/// All keys that `config` names files for; none without a file.
pub(super) fn read(config: &Config) -> Result<Arc<Keyring>, Error> {
    let mut keyring = Keyring::new(system_seed());
    if let Some(path) = &config.token_keys {
        let is_open = take("token-keys", path, |text| keyring.set_token_keys(text))?;
        // Public keys alone are everybody's to read.
        warn("token-keys", path, is_open && keyring.has_secrets());
    }
    if let Some(path) = &config.api_keys {
        let is_open = take("api-keys", path, |text| keyring.set_api_keys(text))?;
        warn("api-keys", path, is_open);
    }
    Ok(Arc::new(keyring))
}

/// Gives the text of a file to `set`; tells whether everybody may read it.
fn take(option: &str, path: &str, set: impl FnOnce(&str) -> Result<(), String>) -> Result<bool, Error> {
    let fault = |what: String| Error::Config(format!("--{option}: {path}: {what}"));
    let Text { text, is_open } = read_file(path).map_err(|error| fault(format!("it cannot be read: {error}")))?;
    set(&text).map_err(fault)?;
    Ok(is_open)
}

fn warn(option: &str, path: &str, is_open: bool) {
    if is_open {
        log::warn!("--{option}: everybody on this machine may read {path} (chmod o-r)");
    }
}

fn read_file(path: &str) -> io::Result<Text> {
    let file = File::open(path)?;
    let rights = file.metadata()?.permissions().mode();
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1MiB")),
        false => Ok(Text { text, is_open: rights & READ_BY_OTHERS != 0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    const KEY_SET: &str = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;

    /// A file that is gone when the test is.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(bytes: &[u8]) -> Scratch {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("encke-keys-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, bytes).expect("a temporary file");
            Scratch(path)
        }

        fn path(&self) -> Option<String> {
            self.0.to_str().map(str::to_owned)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn fault(config: &Config) -> String {
        match read(config) {
            Err(Error::Config(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_files_make_one_keyring() {
        let (tokens, keys) = (Scratch::new(KEY_SET.as_bytes()), Scratch::new(b"# no application yet\n"));
        let config = Config { token_keys: tokens.path(), api_keys: keys.path(), ..Config::default() };
        assert!(read(&config).expect("both are good").has_secrets());
        assert!(!read(&Config::default()).expect("there is nothing to read").has_secrets());
    }

    #[test]
    fn what_is_wrong_is_told_with_option_file_and_line() {
        let long = vec![b' '; FILE_BYTES_MAX as usize + 1];
        for (bytes, tokens_say, keys_say) in [
            (&b"\n\n}"[..], "line 3: it is no JSON", "line 3: it is not NAME "),
            (b"\xff", "it cannot be read: ", "it cannot be read: "),
            (&long, "it cannot be read: it is longer than 1MiB", "it cannot be read: it is longer than 1MiB"),
        ] {
            let file = Scratch::new(bytes);
            let path = file.path().expect("its path is text");
            let error = fault(&Config { token_keys: file.path(), ..Config::default() });
            assert!(error.starts_with(&format!("--token-keys: {path}: {tokens_say}")), "{error}");
            let error = fault(&Config { api_keys: file.path(), ..Config::default() });
            assert!(error.starts_with(&format!("--api-keys: {path}: {keys_say}")), "{error}");
        }
        let error = fault(&Config { api_keys: Some("/nowhere/keys".into()), ..Config::default() });
        assert!(error.starts_with("--api-keys: /nowhere/keys: it cannot be read: "), "{error}");
    }
}
