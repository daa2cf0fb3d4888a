//! The arguments of the commands about people.

use clap::{Args, Subcommand};

use super::ListPart;

#[derive(Subcommand)]
pub enum UserCommand {
    /// Make a user
    Create(CreateUser),
    /// Give a user another password; it ends their login sessions
    SetPassword(SetPassword),
    /// Show a user
    Show(WhichUser),
    /// List users by name, a part at a time
    List(ListPart),
    /// Disable a user and revoke everything given for them
    Disable(WhichUser),
    /// Enable a user; what was given before stays revoked
    Enable(WhichUser),
    /// Delete a user and revoke everything given for them
    Delete(WhichUser),
    /// Give a user a role
    AssignRole(UserAndRole),
    /// Take a role from a user
    RemoveRole(UserAndRole),
    /// Give a user a permission directly
    GrantPermission(UserAndPermission),
    /// Take back a permission that a user was given directly
    RemovePermission(UserAndPermission),
}

#[derive(Args)]
pub struct WhichUser {
    /// The name that they log in with, in any spelling, or their id
    pub name: String,
}

#[derive(Args)]
pub struct CreateUser {
    /// What they log in with: a user name, or an e-mail address
    pub name: String,
    /// Read their password from standard input [default: none, and nobody can log in]
    #[arg(long)]
    pub password_stdin: bool,
    /// They have to choose another password when they log in
    #[arg(long, requires = "password_stdin")]
    pub must_change_password: bool,
    /// Succeed if there is a user of this name; nothing about them is changed
    #[arg(long)]
    pub if_not_exists: bool,
}

#[derive(Args)]
pub struct SetPassword {
    #[command(flatten)]
    pub which: WhichUser,
    /// Read the password from standard input
    #[arg(long, required = true)]
    pub password_stdin: bool,
    /// They have to choose another one when they log in
    #[arg(long)]
    pub must_change_password: bool,
}

#[derive(Args)]
pub struct UserAndRole {
    #[command(flatten)]
    pub which: WhichUser,
    /// The role's name
    pub role: String,
}

#[derive(Args)]
pub struct UserAndPermission {
    #[command(flatten)]
    pub which: WhichUser,
    /// A permission, named like the scope that needs it: notes:write
    pub permission: String,
}

#[derive(Subcommand)]
pub enum RoleCommand {
    /// Make a role
    Create(CreateRole),
    /// List roles by name, a part at a time
    List(ListPart),
    /// Show a role
    Show(WhichRole),
    /// Give a role other permissions, for everybody who has it
    Update(UpdateRole),
    /// Delete a role, and take it from everybody who has it
    Delete(WhichRole),
}

#[derive(Args)]
pub struct WhichRole {
    /// Its name
    pub name: String,
}

#[derive(Args)]
pub struct CreateRole {
    /// Its name, as resource servers see it
    pub name: String,
    /// What its users may do, named like the scope that needs it: notes:write; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub permissions: Vec<String>,
}

#[derive(Args)]
pub struct UpdateRole {
    #[command(flatten)]
    pub which: WhichRole,
    /// What its users may do from now on, and nothing else; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION", required_unless_present = "no_permissions")]
    pub permissions: Vec<String>,
    /// Its users may do nothing by it from now on
    #[arg(long, conflicts_with = "permissions")]
    pub no_permissions: bool,
}
