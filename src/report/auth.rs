//! What it means that there is no authorization.

use super::Diagnosis;
use crate::error::{AuthError, LoginReason};

pub(super) fn diagnose(error: &AuthError) -> Diagnosis {
    match error {
        AuthError::Secret(_) => Diagnosis::help("provide the secret that its `auth` names"),
        AuthError::LoginRequired { reason } => {
            let sentence = match reason {
                LoginReason::Never => "401, and nobody has logged in to this server yet",
                LoginReason::Expired => {
                    "401: the token has expired, and there is none to renew it with"
                }
                LoginReason::Rejected => "401, and the stored refresh token was rejected",
            };
            let code = match reason {
                LoginReason::Never => "login_required",
                LoginReason::Expired => "login_expired",
                LoginReason::Rejected => "refresh_rejected",
            };
            let again = if *reason == LoginReason::Never { "" } else { " again" };
            Diagnosis::new(
                code,
                sentence,
                format!("log in{again}, at the URL that `Server::login` gives"),
            )
        }
        AuthError::ScopeRequired { scopes } => Diagnosis::new(
            "scope_missing",
            "403: the login so far does not reach for this",
            format!("log in again by `Server::login`, and grant {}", scopes.join(", ")),
        ),
        AuthError::Refused { code, .. } if code == "invalid_client" => Diagnosis::new(
            "client_refused",
            "the authorization server does not know this client, or not with this secret",
            "check the client's id and secret where it was registered",
        ),
        AuthError::Refused { .. } => Diagnosis::new(
            "token_refused",
            "the authorization server refuses to give a token to this client",
            "check the grant, the scopes and the audience that it is registered with",
        ),
        AuthError::Unavailable { .. } => Diagnosis::new(
            "authorization_server_down",
            "the authorization server was not reached, or failed",
            "try again later; check the network and the proxy of the spec",
        ),
        AuthError::Unusable { .. } => Diagnosis::help(
            "have it corrected where the server runs; until then, a fixed token can be declared",
        ),
        AuthError::Store(_) => {
            Diagnosis::help("look at the file or the keyring that holds the tokens")
        }
        AuthError::Key { .. } => {
            Diagnosis::help("declare a private key of the kind that is asked for")
        }
        AuthError::LoginFailed { .. } => Diagnosis::help("log in again by `Server::login`"),
        AuthError::NoLogin => Diagnosis::help("declare the server with `Auth::oauth`"),
    }
}
