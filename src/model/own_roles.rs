//! Numbers of the server's own roles that stay while the server runs.
//!
//! A server file numbers its own roles by their places. Sessions, subscriptions and worlds of earlier revisions hold roles as
//! bits and outlive a reload, so a number means one name until the process ends; the number of a removed role waits for
//! its name.

use std::collections::{BTreeMap, HashMap};

use super::access::{Access, MOST_ROLES, OwnRoles};
use super::{Accounts, Plant, ROLES, Role, Roles, ServerPlan};

/// The numbers that names have got since the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoleNumbers {
    of: HashMap<String, Role>,
}

/// The number of each own role of a server file that was compiled, by the number that it has there.
#[derive(Debug)]
pub(crate) struct RoleRenumbering {
    own: BTreeMap<Role, Role>,
    /// Roles without a number: nobody has them.
    pub waiting: usize,
}

impl RoleNumbers {
    /// Gives each new name a number that no role has had, as long as there is one.
    pub(crate) fn assign(&mut self, compiled: &OwnRoles) -> RoleRenumbering {
        for name in compiled.values() {
            let next = ROLES.len() + self.of.len();
            if !self.of.contains_key(name) && next < MOST_ROLES {
                self.of.extend(u8::try_from(next).map(|next| (name.clone(), Role(next))));
            }
        }
        RoleRenumbering::between(compiled, |name| self.of.get(name).copied())
    }
}

impl RoleRenumbering {
    pub(crate) fn between(compiled: &OwnRoles, number_of: impl Fn(&str) -> Option<Role>) -> RoleRenumbering {
        let own: BTreeMap<Role, Role> =
            compiled.iter().filter_map(|(role, name)| Some((*role, number_of(name)?))).collect();
        RoleRenumbering { waiting: compiled.len() - own.len(), own }
    }

    fn role(&self, compiled: Role) -> Option<Role> {
        if compiled.is_well_known() { Some(compiled) } else { self.own.get(&compiled).copied() }
    }

    fn roles(&self, compiled: Roles) -> Roles {
        let own = self.own.iter().filter(|(role, _)| compiled.contains(**role)).map(|(_, number)| *number);
        own.fold(compiled.well_known(), Roles::with)
    }
}

impl Plant {
    pub(crate) fn renumber_roles(&mut self, numbers: &RoleRenumbering) {
        for Access { read, write, call, edit_history, encrypted: _ } in &mut self.access {
            for roles in [read, write, call, edit_history] {
                *roles = numbers.roles(*roles);
            }
        }
    }
}

impl ServerPlan {
    pub(crate) fn renumber_roles(&mut self, numbers: &RoleRenumbering) {
        self.accounts.renumber_roles(numbers);
        let own = std::mem::take(&mut self.own_roles);
        self.own_roles = own.into_iter().filter_map(|(role, name)| Some((numbers.role(role)?, name))).collect();
    }
}

impl Accounts {
    pub(crate) fn renumber_roles(&mut self, numbers: &RoleRenumbering) {
        self.users.values_mut().for_each(|user| user.roles = numbers.roles(user.roles));
        self.role_rules.retain_mut(|rule| numbers.role(rule.role).inspect(|role| rule.role = *role).is_some());
        if self.anonymous != Roles::NONE {
            let roles = numbers.roles(self.anonymous);
            // With no role at all, sessions without login would be refused.
            self.anonymous = if roles == Roles::NONE { roles.with(Role::ANONYMOUS) } else { roles };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The roles of a server file, by their places.
    fn compiled(names: &[&str]) -> OwnRoles {
        (9..).map(Role).zip(names.iter().map(|name| (*name).to_owned())).collect()
    }

    fn numbers(renumbering: &RoleRenumbering) -> Vec<u8> {
        renumbering.own.values().map(|role| role.0).collect()
    }

    #[test]
    fn a_name_keeps_its_number_and_a_new_one_gets_one_that_no_role_has_had() {
        let mut given = RoleNumbers::default();
        for (names, expected) in [
            (&["Alpha", "Beta"][..], &[9, 10][..]),
            (&["Beta", "Alpha"], &[10, 9]),
            (&["Beta"], &[10]),
            (&["Gamma", "Beta"], &[11, 10]),
            (&["Alpha"], &[9]),
        ] {
            assert_eq!(numbers(&given.assign(&compiled(names))), expected, "{names:?}");
        }
    }

    #[test]
    fn roles_without_a_number_are_held_by_nobody_and_open_nothing() {
        let mut given = RoleNumbers::default();
        let names: Vec<String> = (0..54).map(|n| format!("R{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(given.assign(&compiled(&names)).waiting, 0);
        let numbers = given.assign(&compiled(&["Last", "OneTooMany", "R0"]));
        assert_eq!((numbers.waiting, numbers.role(Role(9)), numbers.role(Role(10))), (1, Some(Role(63)), None));
        let all: Roles = [Role::OPERATOR, Role(9), Role(10), Role(11)].into_iter().collect();
        let expected: Roles = [Role::OPERATOR, Role(63), Role(9)].into_iter().collect();
        assert_eq!(numbers.roles(all), expected);
        let mut accounts = Accounts { anonymous: Roles::NONE.with(Role(10)), ..Accounts::default() };
        accounts.renumber_roles(&numbers);
        assert_eq!(accounts.anonymous, Roles::NONE.with(Role::ANONYMOUS), "they are still let in");
        let read = Roles::NONE.with(Role(10));
        let mut plant = Plant { access: vec![Access { read, ..Access::OPEN }], ..Plant::default() };
        plant.renumber_roles(&numbers);
        assert_eq!(plant.access[0].read, Roles::NONE);
    }
}
