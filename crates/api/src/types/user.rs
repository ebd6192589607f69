//! Users on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /user`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateUserRequest {
    /// The name to sign in with.
    #[serde(default)]
    pub user_name: String,
    /// Whether the user may do everything in the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
    /// A password; absent for a user who signs in with tokens only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Who signs in at the provider as this user: what it says as `sub`. Absent for a user who does not sign in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl fmt::Debug for CreateUserRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateUserRequest")
            .field("user_name", &self.user_name)
            .field("admin", &self.admin)
            .field("password", &Redacted::of(&self.password))
            .field("subject", &self.subject)
            .finish()
    }
}

/// `PATCH /user/{name}`. What is absent stays.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateUserRequest {
    /// Whether the user may do everything in the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
    /// A new password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether the password is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_password: Option<bool>,
}

impl fmt::Debug for UpdateUserRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateUserRequest")
            .field("admin", &self.admin)
            .field("password", &Redacted::of(&self.password))
            .field("remove_password", &self.remove_password)
            .finish()
    }
}

/// Stands for a password in `Debug`, so that no log shows one.
struct Redacted;

impl Redacted {
    fn of(password: &Option<String>) -> Option<Self> {
        password.as_ref().map(|_| Self)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A user; never the password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The name to sign in with.
    pub user_name: String,
    /// Whether the user may do everything in the instance.
    pub admin: bool,
    /// Whether the user can sign in with a password.
    pub has_password: bool,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The provider at which the user signs in; absent for one who does not sign in at any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Who the user is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The user's places in owners.
    pub owners: Vec<UserOwner>,
}

/// A user's place in an owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UserOwner {
    /// The owner.
    pub owner_name: String,
    /// `reader`, `writer` or `maintainer`.
    pub role: String,
    /// The only tags that the user may push and delete; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
}

/// `GET /whoami`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// The user's name; a robot's is `owner+name`.
    pub who: String,
    /// `user` or `robot`.
    pub kind: String,
    /// Whether the user may do everything in the instance, as far as the token goes.
    pub admin: bool,
    /// The token that was used, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// What the token is good for; absent for all that its user may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The user's places in owners.
    #[serde(default)]
    pub owners: Vec<UserOwner>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show() {
        let password = Some("hunter2".to_owned());
        let create = CreateUserRequest {
            user_name: "alice".to_owned(),
            password: password.clone(),
            ..CreateUserRequest::default()
        };
        let update = UpdateUserRequest { password, ..UpdateUserRequest::default() };
        for shown in [format!("{create:?}"), format!("{update:?}")] {
            assert!(shown.contains("Some([redacted])") && !shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(serde_json::to_value(&update).expect("JSON"), serde_json::json!({ "password": "hunter2" }));
    }
}
