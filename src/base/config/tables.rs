//! Whether reactors share the descriptors of a process or have their own, and who may have it so.

use super::Config;
use crate::base::error::Error;

impl Config {
    /// Whether each reactor has descriptors of its own.
    pub fn has_private_tables(&self) -> bool {
        self.descriptor_tables == "private"
    }

    /// Whether a program that links Encke can serve it: other threads of that have descriptors too.
    pub fn check_tables_shared(&self) -> Result<(), Error> {
        match self.has_private_tables() {
            true => Err(Error::Config("--descriptor-tables: private ones are for `encke serve` alone (write shared)".into())),
            false => Ok(()),
        }
    }

    pub(super) fn misread_tables(&self) -> Option<String> {
        match &*self.descriptor_tables {
            "private" if cfg!(not(target_os = "linux")) => {
                Some("--descriptor-tables: only Linux has private ones (write shared)".into())
            }
            "shared" | "private" => None,
            other => Some(format!("--descriptor-tables: {other:?} is neither shared nor private")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_tables_are_for_linux_and_for_the_command() {
        let with = |tables: &str| Config { descriptor_tables: tables.into(), ..Config::default() };
        assert!(with("shared").check().is_ok() && with("shared").check_tables_shared().is_ok());
        assert_eq!(with("private").check().is_ok(), cfg!(target_os = "linux"));
        let Err(Error::Config(text)) = with("private").check_tables_shared() else { panic!("it is refused") };
        assert!(text.contains("encke serve"), "{text}");
        let Err(Error::Config(text)) = with("public").check() else { panic!("it is refused") };
        assert_eq!(text, "--descriptor-tables: \"public\" is neither shared nor private");
    }
}
