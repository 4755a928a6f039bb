//! The other direction of `events`: what the host program answers goes to the shard that asked.

use super::mailbox::{Mail, Rare};
use super::server::Shared;
use crate::base::error::Error;
use crate::engine::Engine;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Answers what a server of this process asked its host program.
#[derive(Clone, Debug)]
pub struct Judge {
    shared: Arc<Shared>,
}

impl Judge {
    pub(super) fn new(shared: Arc<Shared>) -> Judge {
        Judge { shared }
    }

    /// Answers a question: whether the client may subscribe. An answer that comes too late, or twice, does nothing.
    ///
    /// Never blocks. [`Error::Full`]: nothing was taken, try again shortly.
    pub fn answer(&self, question: u64, allow: bool) -> Result<(), Error> {
        if self.shared.is_stopping() {
            return Err(Error::Closed);
        }
        let asker = self.shared.mailboxes.get(usize::from(Engine::asker_of(question)));
        let asker = asker.ok_or_else(|| Error::Invalid(format!("there was no question {question}")))?;
        asker.post(Mail::Rare(Box::new(Rare::Verdict { question, allow })))
    }

    /// What becomes of a question that nobody answers, by the option `judge_default` as it is now.
    pub fn default_answer(&self) -> bool {
        self.shared.judge_allows.load(Ordering::Relaxed)
    }
}
