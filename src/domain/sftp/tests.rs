//! What is read is written back as it came, and no bytes are more than an error.

use proptest::{collection::vec, option, prelude::*};

use super::*;

fn raw(wire: &[u8]) -> Raw {
    let mut cutter = Cutter::default();
    cutter.feed(wire);
    let raw = cutter.next_packet().unwrap().unwrap();
    assert!(cutter.is_clear());
    raw
}

/// A packet of this type and these fields.
fn packet(kind: u8, fields: &[u8]) -> Vec<u8> {
    let length = (fields.len() as u32 + 1).to_be_bytes();
    [&length[..], &[kind], fields].concat()
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn handle() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..MAX_HANDLE)
}

fn pairs() -> impl Strategy<Value = Pairs> {
    vec((path(), path()), 0..4)
}

prop_compose! {
    fn attrs()(
        size in option::of(any::<u64>()),
        owner in option::of(any::<(u32, u32)>()),
        permissions in option::of(any::<u32>()),
        times in option::of(any::<(u32, u32)>()),
        extended in option::of(pairs()),
    ) -> Attrs {
        Attrs { size, owner, permissions, times, extended }
    }
}

fn extended() -> impl Strategy<Value = Extended> {
    prop_oneof![
        (path(), path()).prop_map(|(from, to)| Extended::PosixRename { from, to }),
        path().prop_map(|path| Extended::Statvfs { path }),
        handle().prop_map(|handle| Extended::Fstatvfs { handle }),
        (path(), path()).prop_map(|(from, to)| Extended::Hardlink { from, to }),
        handle().prop_map(|handle| Extended::Fsync { handle }),
        (path(), attrs()).prop_map(|(path, attrs)| Extended::Lsetstat { path, attrs }),
        Just(Extended::Limits),
        path().prop_map(|path| Extended::ExpandPath { path }),
        (handle(), any::<(u64, u64, u64)>(), handle()).prop_map(
            |(from, (at, length, to_at), to)| {
                Extended::CopyData { from, at, length, to, to_at }
            }
        ),
        path().prop_map(|user| Extended::HomeDirectory { user }),
        (path(), path()).prop_map(|(uids, gids)| Extended::UsersGroupsById { uids, gids }),
        (path(), path()).prop_map(|(mut name, fields)| {
            name.push(b'!');
            Extended::Other { name, fields: fields.into() }
        }),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (path(), any::<u32>(), attrs()).prop_map(|(path, flags, attrs)| {
            Call::Open { path, flags: OpenFlags(flags), attrs }
        }),
        handle().prop_map(|handle| Call::Close { handle }),
        (handle(), any::<(u64, u32)>()).prop_map(|(handle, (offset, length))| Call::Read {
            handle,
            offset,
            length
        }),
        (handle(), any::<u64>(), path()).prop_map(|(handle, offset, data)| Call::Write {
            handle,
            offset,
            data: data.into()
        }),
        path().prop_map(|path| Call::Lstat { path }),
        handle().prop_map(|handle| Call::Fstat { handle }),
        (path(), attrs()).prop_map(|(path, attrs)| Call::Setstat { path, attrs }),
        (handle(), attrs()).prop_map(|(handle, attrs)| Call::Fsetstat { handle, attrs }),
        path().prop_map(|path| Call::Opendir { path }),
        handle().prop_map(|handle| Call::Readdir { handle }),
        path().prop_map(|path| Call::Remove { path }),
        (path(), attrs()).prop_map(|(path, attrs)| Call::Mkdir { path, attrs }),
        path().prop_map(|path| Call::Rmdir { path }),
        path().prop_map(|path| Call::Realpath { path }),
        path().prop_map(|path| Call::Stat { path }),
        (path(), path()).prop_map(|(from, to)| Call::Rename { from, to }),
        path().prop_map(|path| Call::Readlink { path }),
        (path(), path()).prop_map(|(holds, link)| Call::Symlink { holds, link }),
        extended().prop_map(Call::Extended),
        (21u8..100, path()).prop_map(|(kind, fields)| Call::Other { kind, fields: fields.into() }),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    (path(), path(), attrs()).prop_map(|(name, long, attrs)| Name { name, long, attrs })
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        (any::<u32>(), option::of((path(), path()))).prop_map(|(code, said)| {
            let said = said.map(|(message, language)| Said { message, language });
            Reply::Status(Status { code: StatusCode::from_number(code), said })
        }),
        handle().prop_map(Reply::Handle),
        path().prop_map(|data| Reply::Data(data.into())),
        vec(name(), 0..5).prop_map(Reply::Name),
        attrs().prop_map(Reply::Attrs),
        path().prop_map(|body| Reply::Extended(body.into())),
        (106u8..200, path())
            .prop_map(|(kind, fields)| Reply::Other { kind, fields: fields.into() }),
    ]
}

proptest! {
    #[test]
    fn what_a_client_says_comes_back(id: u32, call in call(), version: u32, extensions in pairs()) {
        for said in [FromClient::Call { id, call }, FromClient::Init { version, extensions }] {
            let packet = raw(&said.to_wire());
            prop_assert_eq!(packet.to_wire(), said.to_wire());
            prop_assert_eq!(FromClient::parse(&packet).unwrap(), said);
        }
    }

    #[test]
    fn what_a_server_says_comes_back(id: u32, reply in reply(), version: u32, extensions in pairs()) {
        for said in [FromServer::Reply { id, reply }, FromServer::Version { version, extensions }] {
            prop_assert_eq!(FromServer::parse(&raw(&said.to_wire())).unwrap(), said);
        }
    }

    /// Any bytes are an error, or a packet that is exactly these bytes.
    #[test]
    fn nothing_is_read_that_is_not_there(kind in 0u8..=202, fields in vec(prop_oneof![Just(0u8), 0u8..9, any::<u8>()], 0..80)) {
        let wire = packet(kind, &fields);
        let packet = raw(&wire);
        if let Ok(read) = FromClient::parse(&packet) {
            prop_assert_eq!(read.to_wire(), wire.clone());
        }
        if let Ok(read) = FromServer::parse(&packet) {
            prop_assert_eq!(read.to_wire(), wire);
        }
        let body = fields.into();
        let _any = (Limits::read(&body), Statvfs::read(&body));
    }

    /// A packet that lost its end, or got one, is none. Fields that are not known have no end.
    #[test]
    fn lengths_are_exact(id: u32, call in call(), cut: prop::sample::Index) {
        let open = matches!(call, Call::Other { .. } | Call::Extended(Extended::Other { .. }));
        let whole = raw(&call.to_wire(id));
        let fields = &whole.bytes()[1..];
        if !open {
            let longer = raw(&packet(whole.kind(), &[fields, b"x"].concat()));
            prop_assert!(FromClient::parse(&longer).is_err());
            let shorter = raw(&packet(whole.kind(), &fields[..cut.index(fields.len())]));
            prop_assert!(FromClient::parse(&shorter).is_err());
        }
    }

    #[test]
    fn a_stream_is_cut_the_same_however_it_comes(calls in vec(call(), 1..5), pieces in 1usize..9) {
        let wires: Vec<Vec<u8>> = calls.iter().enumerate().map(|(id, call)| call.to_wire(id as u32)).collect();
        let mut cutter = Cutter::default();
        let mut found = Vec::new();
        for piece in wires.concat().chunks(pieces) {
            cutter.feed(piece);
            while let Some(packet) = cutter.next_packet().unwrap() {
                found.push(packet.to_wire());
            }
        }
        prop_assert_eq!(found, wires);
        prop_assert!(cutter.is_clear());
    }

    #[test]
    fn numbers_of_extended_replies_come_back(numbers: [u64; 4]) {
        let [packet, read, write, open_handles] = numbers;
        let limits = Limits { packet, read, write, open_handles };
        prop_assert_eq!(Limits::read(&limits.to_body()).unwrap(), limits);
        let state = Statvfs { block_size: packet, name_max: read, available: write, ..Statvfs::default() };
        prop_assert_eq!(Statvfs::read(&state.to_body()).unwrap(), state);
    }
}

#[test]
fn a_length_is_judged_before_its_bytes_come() {
    let next = |bytes: &[u8]| {
        let mut cutter = Cutter::default();
        cutter.feed(bytes);
        cutter.next_packet()
    };
    assert_eq!(next(&[0, 0, 0]), Ok(None));
    assert_eq!(next(&[0, 0, 0, 0]), Err(Malformed::Empty));
    assert_eq!(next(&(MAX_PACKET as u32).to_be_bytes()), Ok(None));
    let long = MAX_PACKET as u32 + 1;
    assert_eq!(next(&long.to_be_bytes()), Err(Malformed::TooLong(long)));
}

#[test]
fn a_count_that_the_packet_can_not_hold_takes_no_memory() {
    let names = packet(104, &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(FromServer::parse(&raw(&names)), Err(Malformed::Cut));
    let extended = packet(105, &[0, 0, 0, 1, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(FromServer::parse(&raw(&extended)), Err(Malformed::Cut));
    let named = |bytes: usize| {
        let (name, long, attrs) = (vec![b'x'; bytes], Vec::new(), Attrs::default());
        let wire = Reply::Name(vec![Name { name, long, attrs }]).to_wire(1);
        FromServer::parse(&raw(&wire)).map(|_| ())
    };
    assert_eq!(named(MAX_NAME), Ok(()));
    assert_eq!(named(MAX_NAME + 1), Err(Malformed::Name(MAX_NAME + 1)));
}

#[test]
fn attributes_that_nobody_can_measure_are_refused() {
    let unknown = packet(105, &[0, 0, 0, 1, 0, 0, 1, 0]);
    assert_eq!(FromServer::parse(&raw(&unknown)), Err(Malformed::Flags(0x100)));
}

#[test]
fn a_handle_has_an_end() {
    let long = Reply::Handle(vec![b'h'; MAX_HANDLE + 1]).to_wire(1);
    assert_eq!(FromServer::parse(&raw(&long)), Err(Malformed::Handle(MAX_HANDLE + 1)));
}

/// Section 6.3 of the draft, by hand.
#[test]
fn bytes_are_those_of_the_draft() {
    let open = Call::Open {
        path: b"/a\xff".to_vec(),
        flags: OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE,
        attrs: Attrs::with_permissions(0o400),
    };
    let head = [0, 0, 0, 24, 3, 0, 0, 0, 7];
    let path = [0, 0, 0, 3, b'/', b'a', 0xff];
    let flags_and_attrs = [0, 0, 0, 42, 0, 0, 0, 4, 0, 0, 1, 0];
    assert_eq!(open.to_wire(7), [&head[..], &path, &flags_and_attrs].concat());
}

#[test]
fn an_entry_leads_nowhere_but_into_its_directory() {
    let name =
        |name: &[u8]| Name { name: name.to_vec(), long: Vec::new(), attrs: Attrs::default() };
    for no in [&b""[..], b".", b"..", b"a/b", b"/", b"../x", b"a\0b"] {
        assert_eq!(name(no).entry(), None, "{no:?}");
    }
    for yes in [&b"..."[..], b"a", b"\xff", b"a\nb", b" "] {
        assert_eq!(name(yes).entry(), Some(yes));
    }
}

#[test]
fn types_of_files_are_those_of_inode_7() {
    let of = |mode| Attrs::with_permissions(mode).file_type();
    assert_eq!(of(0o100_644), Some(FileType::File));
    assert_eq!(of(0o040_755), Some(FileType::Directory));
    assert_eq!(of(0o120_777), Some(FileType::Link));
    assert_eq!(of(0o644), None);
    assert_eq!(Attrs::default().file_type(), None);
    assert_eq!(Attrs::with_permissions(0o104_755).mode(), Some(0o4755));
}
