//! The operator's proof: whoever can open the data key speaks to the daemon over a session that only
//! its holder can read, write or answer.
