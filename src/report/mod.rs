//! Run events to text and files.
