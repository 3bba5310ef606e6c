//! What ssh is handed where there is no connection: one that ends in SSH's own words. Handed nothing, ssh speaks of
//! its own insides.

use std::{
    io::{self, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use super::send_with;

/// What a server says first, and all that it says in the clear after it (RFC 4253, 4.2 and 11.1).
const GREETING: &[u8] = b"SSH-2.0-sgw\r\n";
const DISCONNECT: u8 = 1;
const BY_APPLICATION: u32 = 11;
const WORDS: &[u8] = b"no connection, as sgw says above";
/// What an unencrypted packet is padded to, and with at least how much, in bytes (RFC 4253, 6).
const BLOCK: usize = 8;
const LEAST: usize = 4;

/// The client's end. The other one lies in its queue, behind what it says: open until the client, which writes before it
/// reads, has read that.
pub fn farewell() -> io::Result<UnixStream> {
    let (mut ours, clients) = UnixStream::pair()?;
    ours.write_all(GREETING)?;
    send_with(&ours, &disconnect(), &ours.as_fd())?;
    Ok(clients)
}

fn disconnect() -> Vec<u8> {
    let mut payload = vec![DISCONNECT];
    payload.extend(BY_APPLICATION.to_be_bytes());
    for text in [WORDS, b"en"] {
        payload.extend((text.len() as u32).to_be_bytes());
        payload.extend(text);
    }
    // Its length and that of the padding stand in front.
    let used = 4 + 1 + payload.len() + LEAST;
    let padding = LEAST + (BLOCK - used % BLOCK) % BLOCK;
    let mut packet = ((1 + payload.len() + padding) as u32).to_be_bytes().to_vec();
    packet.push(padding as u8);
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_client_that_writes_first_reads_all_of_it_and_then_the_end() {
        let mut client = farewell().unwrap();
        client.write_all(b"SSH-2.0-client\r\n").unwrap();
        let mut greeting = [0; GREETING.len()];
        client.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, GREETING);
        client.write_all(&[0; 1500]).unwrap();
        let mut rest = Vec::new();
        let _reset = client.read_to_end(&mut rest);
        assert_eq!(rest, disconnect());
        assert_eq!(rest.len() % BLOCK, 0);
    }
}
