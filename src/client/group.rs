//! The group that the kernel gives to the installed program of a service (its file is setgid), and
//! that `operator.sock` asks for. It is in effect while this program connects there and never else:
//! whatever it starts has the caller's own group alone (execve(2) forgets a saved one).

use rustix::{
    io::Errno,
    process::{Gid, getegid, getgid},
    thread::set_thread_res_gid,
};

/// In the first thread, before there are others: each of them begins without the group. Nobody is asked where
/// there is none: a namespace can be without the caller's own group.
pub fn lay_down() -> rustix::io::Result<()> {
    if getegid() == getgid() {
        return Ok(());
    }
    set_thread_res_gid(None, Some(getgid()), None)
}

/// For good, in a program that asks for nothing as the operator.
pub fn renounce() -> rustix::io::Result<()> {
    let own = Some(getgid());
    set_thread_res_gid(own, own, own)
}

/// This thread has the group until this is dropped. Nothing is waited for meanwhile.
pub(super) struct Taken(());

impl Taken {
    /// `EPERM` where the kernel did not give it: not the installed program, or one that somebody
    /// traces or has started with `no_new_privs`.
    pub(super) fn take(group: u32) -> Result<Self, Errno> {
        set_thread_res_gid(None, Some(Gid::from_raw(group)), None).map(|()| Self(()))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Going back to the real group is allowed to everybody.
        let _never_fails = lay_down();
    }
}
