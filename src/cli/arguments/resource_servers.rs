//! The arguments of `resource-server`.

use clap::{Args, Subcommand};

use super::{ListPart, RotateSecret, Which};

#[derive(Subcommand)]
pub enum ResourceServerCommand {
    /// Make a resource server; its secret is shown once
    Create(CreateResourceServer),
    /// List resource servers by name, a part at a time
    List(ListPart),
    /// Show a resource server
    Show(Which),
    /// Change a resource server
    Update(UpdateResourceServer),
    /// Give a resource server a new secret, shown once
    RotateSecret(RotateSecret),
    /// Disable a resource server: it may ask about nothing
    Disable(Which),
    /// Enable a resource server
    Enable(Which),
    /// Delete a resource server
    Delete(Which),
}

#[derive(Args)]
pub struct CreateResourceServer {
    /// A name for people
    pub name: String,
    /// The URI that names it as an audience
    #[arg(long, value_name = "URI")]
    pub identifier: String,
    /// The scopes that it owns, in one string: "notes:read notes:write"
    #[arg(long)]
    pub scope: String,
    /// A scope that a user's token has only while the user has the permission of the same name;
    /// may be repeated
    #[arg(long = "scope-needs-permission", value_name = "SCOPE")]
    pub scopes_needing_permission: Vec<String>,
    /// It is told the roles of a token's user
    #[arg(long)]
    pub include_roles: bool,
    /// What a scope means, in words for people who are asked to consent: "notes:read=Read your notes"; may be repeated
    #[arg(long = "scope-description", value_name = "SCOPE=TEXT")]
    pub scope_descriptions: Vec<String>,
    /// It may not revoke tokens
    #[arg(long)]
    pub no_revoke: bool,
    /// Succeed if a resource server of this name exists; its secret is not shown
    #[arg(long)]
    pub if_not_exists: bool,
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct UpdateResourceServer {
    #[command(flatten)]
    pub which: Which,
    /// A new name for people
    #[arg(long)]
    pub name: Option<String>,
    /// A new URI to name it by; tokens issued before stay meant for it
    #[arg(long, value_name = "URI")]
    pub identifier: Option<String>,
    /// The scopes that it owns from now on
    #[arg(long)]
    pub scope: Option<String>,
    /// The scopes that need a permission from now on; may be repeated
    #[arg(long = "scope-needs-permission", value_name = "SCOPE")]
    pub scopes_needing_permission: Vec<String>,
    /// No scope needs a permission from now on
    #[arg(long, conflicts_with = "scopes_needing_permission")]
    pub no_scope_needs_permission: bool,
    /// It is told the roles of a token's user from now on
    #[arg(long)]
    pub include_roles: bool,
    /// It is not told them from now on
    #[arg(long, conflicts_with = "include_roles")]
    pub no_roles: bool,
    /// What a scope means from now on; without a text it speaks for itself; may be repeated
    #[arg(long = "scope-description", value_name = "SCOPE=TEXT")]
    pub scope_descriptions: Vec<String>,
    /// It may not revoke tokens from now on
    #[arg(long, conflicts_with = "may_revoke")]
    pub no_revoke: bool,
    /// It may revoke tokens from now on
    #[arg(long)]
    pub may_revoke: bool,
}
