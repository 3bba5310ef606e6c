//! The way to a named target: the targets that it is reached through, first to last.

use super::Target;
use crate::domain::{
    id::Name,
    target::{MAX_HOPS, Route},
};

/// Why a target leads nowhere.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoWay {
    #[error("there is no target {0}")]
    Unknown(Name),
    #[error("{at} is reached through {jump}, and there is no such target")]
    NoJump { at: Name, jump: Name },
    #[error("the way leads in a circle: {}", told(.0))]
    Circle(Vec<Name>),
    #[error("the way leads over more than {MAX_HOPS} machines: {}", told(.0))]
    TooFar(Vec<Name>),
    #[error("{0} is reached over a jump host, and has a proxy command of its own")]
    TwoWays(Name),
    /// Two names for one account of one machine.
    #[error("the way comes to {0} twice")]
    Twice(String),
}

fn told(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(" → ")
}

/// The targets on the way to `name`, jump hosts first, itself last; and the route that they make.
pub fn chain(
    name: &Name,
    find: impl Fn(&Name) -> Option<Target>,
) -> Result<(Vec<Target>, Route), NoWay> {
    // Backwards, the target first.
    let mut way = vec![find(name).ok_or_else(|| NoWay::Unknown(name.clone()))?];
    while let Some(last) = way.last()
        && let Some(jump) = last.jump.clone()
    {
        let names = || -> Vec<Name> { way.iter().map(|target| target.name.clone()).collect() };
        if last.proxy_command.is_some() {
            return Err(NoWay::TwoWays(last.name.clone()));
        }
        if way.iter().any(|target| target.name == jump) {
            return Err(NoWay::Circle([names(), vec![jump]].concat()));
        }
        if way.len() == MAX_HOPS {
            return Err(NoWay::TooFar(names()));
        }
        let at = last.name.clone();
        way.push(find(&jump).ok_or(NoWay::NoJump { at, jump })?);
    }
    way.reverse();
    let hops: Vec<_> = way.iter().map(Target::hop).collect();
    let route = Route::try_from(hops).map_err(|_| {
        let hops: Vec<_> = way.iter().map(Target::hop).collect();
        let twice = (1..hops.len()).find(|at| hops[..*at].contains(&hops[*at]));
        NoWay::Twice(hops[twice.unwrap_or(0)].to_string())
    })?;
    Ok((way, route))
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    fn way(targets: &[(&str, Option<&str>)], to: &str) -> Result<Vec<String>, NoWay> {
        let targets: Vec<Target> = targets
            .iter()
            .map(|(name, jump)| Target { jump: jump.map(|j| j.parse().unwrap()), ..sample(name) })
            .collect();
        let find = |name: &Name| targets.iter().find(|target| target.name == *name).cloned();
        let (way, route) = chain(&to.parse().unwrap(), find)?;
        assert_eq!(route.hops().len(), way.len());
        Ok(way.iter().map(|target| target.name.to_string()).collect())
    }

    #[test]
    fn jump_hosts_come_first() {
        let targets = [("a", None), ("b", Some("a")), ("c", Some("b"))];
        assert_eq!(way(&targets, "c").unwrap(), ["a", "b", "c"]);
        assert_eq!(way(&targets, "a").unwrap(), ["a"]);
    }

    #[test]
    fn circles_gaps_and_long_ways_are_named() {
        let name = |text: &str| -> Name { text.parse().unwrap() };
        assert_eq!(way(&[("a", Some("a"))], "a"), Err(NoWay::Circle(vec![name("a"), name("a")])));
        let circle = way(&[("a", Some("b")), ("b", Some("c")), ("c", Some("b"))], "a");
        let message = circle.unwrap_err().to_string();
        assert_eq!(message, "the way leads in a circle: a → b → c → b");
        let gap = NoWay::NoJump { at: name("a"), jump: name("gone") };
        assert_eq!(way(&[("a", Some("gone"))], "a"), Err(gap));
        assert_eq!(way(&[], "a"), Err(NoWay::Unknown(name("a"))));
        let names: Vec<String> = (0..=MAX_HOPS).map(|number| format!("t{number}")).collect();
        let long: Vec<_> =
            (0..names.len()).map(|at| (&*names[at], names.get(at + 1).map(|n| &**n))).collect();
        assert!(matches!(way(&long, "t0"), Err(NoWay::TooFar(_))));
        assert!(way(&long[1..], "t1").is_ok());
    }

    #[test]
    fn one_account_under_two_names_is_no_way() {
        let same = |name: &str, jump: Option<&str>| Target {
            host: "h".into(),
            jump: jump.map(|jump| jump.parse().unwrap()),
            ..sample(name)
        };
        let targets = [same("a", None), same("b", Some("a"))];
        let find = |name: &Name| targets.iter().find(|target| target.name == *name).cloned();
        let error = chain(&targets[1].name, find).unwrap_err();
        assert_eq!(error, NoWay::Twice("deploy@h:22".into()));
    }
}
