//! Everything with effects. One life: it begins with the key over an inherited socket and ends with
//! `lock`; nothing of it is remembered.

mod alone;
mod audit;
mod authority;
mod desk;
mod door;
mod evidence;
mod files;
mod ids;
mod in_use;
mod left;
mod life;
mod memory;
mod notify;
mod parts;
mod policy;
mod reading;
mod session;
mod store;
mod upstream;
mod vault;

use self::parts::Parts;
pub use life::run;
