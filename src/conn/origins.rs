//! The origins whose pages may read. Each has a place, by which connections know theirs; a reload changes none of those.

/// Stands where an origin was: no header holds a line break.
const NOBODY: &str = "\n";

/// As many places are remembered.
const PLACES_MAX: usize = 2_048;

/// Whose pages may read.
#[derive(Clone, Debug)]
pub(crate) enum Origins {
    /// This server's own.
    None,
    All,
    /// These, beside this server's own.
    Named(Vec<String>),
}

impl Origins {
    /// Whether an operator named them, so that their pages may send credentials along.
    pub(crate) fn are_named(&self) -> bool {
        matches!(self, Origins::Named(_))
    }

    /// The only ones whose pages may read; `None` if all may.
    pub(crate) fn only(&self) -> Option<&[String]> {
        match self {
            Origins::Named(named) => Some(named),
            Origins::None => Some(&[]),
            Origins::All => None,
        }
    }

    /// The one that has this place, counted from 1, if there is one.
    pub(crate) fn at(&self, place: u16) -> Option<&str> {
        let Origins::Named(named) = self else { return None };
        named.get(usize::from(place).wrapping_sub(1)).map(String::as_str).filter(|origin| *origin != NOBODY)
    }

    /// These from now on. Who is held is known by the place of its origin, so those that stay keep theirs, and the place
    /// of one that goes is nobody's.
    pub(crate) fn renew(&mut self, wanted: Origins) {
        let (Origins::Named(former), Origins::Named(wanted)) = (&mut *self, &wanted) else {
            *self = wanted;
            return;
        };
        if former.len() + wanted.len() > PLACES_MAX {
            // So many changes later nobody is held who came before the first.
            former.clear();
        }
        former.iter_mut().filter(|origin| !wanted.contains(origin)).for_each(|origin| *origin = NOBODY.into());
        let new: Vec<String> = wanted.iter().filter(|origin| !former.contains(origin)).cloned().collect();
        former.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(origins: &[&str]) -> Origins {
        Origins::Named(origins.iter().map(|origin| origin.to_string()).collect())
    }

    #[test]
    fn origins_that_stay_keep_their_place_and_one_that_goes_leaves_nobody_there() {
        let mut origins = named(&["https://a", "https://b"]);
        origins.renew(named(&["https://c", "https://b"]));
        assert_eq!([1, 2, 3, 4, 0].map(|place| origins.at(place)), [None, Some("https://b"), Some("https://c"), None, None]);
        origins.renew(named(&["https://a"]));
        assert_eq!([1, 2, 3, 4].map(|place| origins.at(place)), [None, None, None, Some("https://a")]);
        origins.renew(Origins::All);
        assert!(origins.only().is_none());
        origins.renew(named(&["https://b"]));
        assert_eq!(origins.at(1), Some("https://b"));
    }

    #[test]
    fn places_are_bounded_however_often_origins_change() {
        let mut origins = named(&[]);
        for change in 0..2 * PLACES_MAX {
            origins.renew(named(&[&format!("https://{change}")]));
        }
        assert!(origins.only().is_some_and(|places| places.len() <= PLACES_MAX));
    }
}
