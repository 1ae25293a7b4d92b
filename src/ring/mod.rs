//! Shared memory: segment, claims, record rings.
