//! Where a session leads, as digests, prompts and pauses call it.

use super::Session;
use crate::{
    domain::{
        id::Id,
        target::{Destination, Hop, Route},
    },
    protocol::view::Place,
};

impl Session {
    /// Where it leads, in words that a digest binds.
    pub fn place(&self) -> String {
        let hops = self.route.hops().iter().zip(&self.host_keys);
        let way: Vec<_> = hops.map(|(hop, key)| format!("{hop} {key}")).collect();
        match &self.proxy_command {
            Some(command) => format!("{} by {command}", way.join(" > ")),
            None => way.join(" > "),
        }
    }

    /// The account that it works in, by whatever way it is reached: where scripts lie.
    pub fn account(&self) -> String {
        let hop = self.route.target();
        let key = self.host_keys.last().map_or("", String::as_str);
        format!("{} at {key} port {}", hop.user, hop.port)
    }

    pub fn places(&self) -> Vec<Place> {
        let hops = self.route.hops().iter().zip(&self.host_keys);
        let mut command = self.proxy_command.clone();
        let place = |(hop, key): (&Hop, &String)| Place {
            hop: hop.clone(),
            host_key: Some(key.clone()),
            proxy_command: command.take(),
        };
        hops.map(place).collect()
    }

    pub fn target(&self) -> String {
        self.asked.to_string()
    }

    /// What a pause can call it.
    pub fn names(&self) -> Vec<String> {
        names(&self.id, &self.asked, &self.route)
    }
}

/// The same before there is one.
pub(super) fn names(id: &Id, asked: &Destination, route: &Route) -> Vec<String> {
    let hop = route.target();
    let asked = [asked.to_string(), asked.host.clone()];
    asked.into_iter().chain([id.to_string(), hop.host.clone(), hop.to_string()]).collect()
}
