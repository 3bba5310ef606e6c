//! What a server says: its version, then one reply for each request.

use bytes::Bytes;

use super::{
    Attrs, MAX_NAME, Malformed, Pairs, Raw, kind,
    wire::{Reader, Writer},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromServer {
    Version {
        version: u32,
        extensions: Pairs,
    },
    /// `id` is that of the request.
    Reply {
        id: u32,
        reply: Reply,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(Status),
    Handle(Vec<u8>),
    Data(Bytes),
    Name(Vec<Name>),
    Attrs(Attrs),
    /// The answer to an extended request, whose body only its name explains: [`super::Limits`],
    /// [`super::Statvfs`].
    Extended(Bytes),
    /// Of a type that version 3 does not have: its fields as they came.
    Other {
        kind: u8,
        fields: Bytes,
    },
}

/// A file of a directory, or a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub name: Vec<u8>,
    /// A line as of `ls -l`, for people; in no fixed form.
    pub long: Vec<u8>,
    pub attrs: Attrs,
}

impl Name {
    /// The name of an entry of a directory; `None` for `.`, `..`, and for what is no name of one
    /// entry at all, with which a server could lead elsewhere.
    pub fn entry(&self) -> Option<&[u8]> {
        let plain = !matches!(self.name.as_slice(), b"" | b"." | b"..")
            && !self.name.iter().any(|byte| matches!(byte, b'/' | 0));
        plain.then_some(self.name.as_slice())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: StatusCode,
    /// Servers of older versions leave it out.
    pub said: Option<Said>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub message: Vec<u8>,
    /// RFC 1766.
    pub language: Vec<u8>,
}

impl Status {
    pub fn new(code: StatusCode, message: &str) -> Self {
        let said = Said { message: message.as_bytes().to_vec(), language: Vec::new() };
        Self { code, said: Some(said) }
    }

    /// The server's own words; empty where it has none.
    pub fn message(&self) -> &[u8] {
        self.said.as_ref().map_or(&[], |said| &said.message)
    }
}

/// How a request ended (draft, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusCode {
    Ok,
    Eof,
    NoSuchFile,
    PermissionDenied,
    /// Anything that has no code of its own: what is there already, a full disk, a directory that is
    /// not empty.
    Failure,
    BadMessage,
    NoConnection,
    ConnectionLost,
    Unsupported,
    Other(u32),
}

impl StatusCode {
    const KNOWN: [Self; 9] = [
        Self::Ok,
        Self::Eof,
        Self::NoSuchFile,
        Self::PermissionDenied,
        Self::Failure,
        Self::BadMessage,
        Self::NoConnection,
        Self::ConnectionLost,
        Self::Unsupported,
    ];

    pub fn from_number(number: u32) -> Self {
        Self::KNOWN.get(number as usize).copied().unwrap_or(Self::Other(number))
    }

    pub fn number(self) -> u32 {
        match self {
            Self::Ok => 0,
            Self::Eof => 1,
            Self::NoSuchFile => 2,
            Self::PermissionDenied => 3,
            Self::Failure => 4,
            Self::BadMessage => 5,
            Self::NoConnection => 6,
            Self::ConnectionLost => 7,
            Self::Unsupported => 8,
            Self::Other(number) => number,
        }
    }
}

impl FromServer {
    pub fn parse(raw: &Raw) -> Result<Self, Malformed> {
        let mut from = Reader::new(raw.bytes().clone());
        let packet = match from.u8()? {
            kind::VERSION => Self::Version { version: from.u32()?, extensions: from.pairs()? },
            kind => Self::Reply { id: from.u32()?, reply: Reply::read(kind, &mut from)? },
        };
        from.end().map(|()| packet)
    }

    /// As it goes over a channel, the length in front.
    pub fn to_wire(&self) -> Vec<u8> {
        match self {
            Self::Version { version, extensions } => {
                Writer::new(kind::VERSION).u32(*version).pairs(extensions).packet()
            }
            Self::Reply { id, reply } => reply.to_wire(*id),
        }
    }
}

impl Reply {
    /// A status with sgw's own words.
    pub fn status(code: StatusCode, message: &str) -> Self {
        Self::Status(Status::new(code, message))
    }

    fn read(kind: u8, from: &mut Reader) -> Result<Self, Malformed> {
        Ok(match kind {
            kind::STATUS => {
                let code = StatusCode::from_number(from.u32()?);
                let said = match from.is_empty() {
                    true => None,
                    false => Some(Said { message: from.string()?, language: from.string()? }),
                };
                Self::Status(Status { code, said })
            }
            kind::HANDLE => Self::Handle(from.handle()?),
            kind::DATA => Self::Data(from.data()?),
            kind::NAME => Self::Name(names(from)?),
            kind::ATTRS => Self::Attrs(Attrs::read(from)?),
            kind::EXTENDED_REPLY => Self::Extended(from.rest()),
            _ => Self::Other { kind, fields: from.rest() },
        })
    }

    /// As it goes over a channel, the length in front.
    pub fn to_wire(&self, id: u32) -> Vec<u8> {
        let out = |kind| Writer::new(kind).u32(id);
        match self {
            Self::Status(status) => {
                let out = out(kind::STATUS).u32(status.code.number());
                match &status.said {
                    Some(said) => out.string(&said.message).string(&said.language),
                    None => out,
                }
            }
            Self::Handle(handle) => out(kind::HANDLE).string(handle),
            Self::Data(data) => out(kind::DATA).string(data),
            Self::Name(names) => {
                let out = out(kind::NAME).u32(names.len() as u32);
                let one = |out: Writer, name: &Name| {
                    name.attrs.write(out.string(&name.name).string(&name.long))
                };
                names.iter().fold(out, one)
            }
            Self::Attrs(attrs) => attrs.write(out(kind::ATTRS)),
            Self::Extended(body) => out(kind::EXTENDED_REPLY).raw(body),
            Self::Other { kind, fields } => out(*kind).raw(fields),
        }
        .packet()
    }
}

fn names(from: &mut Reader) -> Result<Vec<Name>, Malformed> {
    let count = from.u32()? as usize;
    // A name is at least two lengths and the attributes' flags.
    if count > from.holds(12) {
        return Err(Malformed::Cut);
    }
    let one = |from: &mut Reader| {
        let name = from.string()?;
        match name.len() {
            0..=MAX_NAME => Ok(Name { name, long: from.string()?, attrs: Attrs::read(from)? }),
            longer => Err(Malformed::Name(longer)),
        }
    };
    (0..count).map(|_| one(from)).collect()
}
