//! What several test files share: engines with clients around them in virtual time, and the notation of transcripts.

pub mod notation;
pub mod papers;
pub mod transcript;
pub mod world;
