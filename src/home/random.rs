//! The kernel's randomness, for what `domain` takes as arguments.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Fresh random bytes. At most 256, which getrandom(2) gives whole and without interruption.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    const { assert!(N <= 256) };
    let mut bytes = [0; N];
    if getrandom(&mut bytes, GetRandomFlags::empty())? != N {
        return Err(io::Error::other("the kernel gave too few random bytes"));
    }
    Ok(bytes)
}
