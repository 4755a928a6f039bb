//! The reactor room.
