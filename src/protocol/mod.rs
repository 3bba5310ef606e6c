//! What crosses a socket.

pub mod noise;
