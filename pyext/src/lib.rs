//! `rpytest._native`.
