//! The scenarios of authorization, with a browser that nobody sees.

use callboard::{
    Auth, AuthError, CallError, ClientCredentials, EnterpriseManaged, JwtBearer, OAuth, Phase,
    RestartPolicy, Runtime, Secret, Server, ServerSpec, Session, StreamableHttp,
};
use reqwest::{Client, header::LOCATION, redirect::Policy};
use serde_json::json;

use super::{Outcome, context, expect, text};

/// How often a person would log in before giving up.
const LOGINS: usize = 6;

/// Scenarios that are over when the login is refused, as it should be.
const REFUSED: [&str; 6] = [
    "resource-mismatch",
    "iss-supported-missing",
    "iss-wrong-issuer",
    "iss-unexpected",
    "iss-normalized",
    "metadata-issuer-mismatch",
];

/// Plays one scenario, with as many logins as it takes.
pub(super) async fn play(runtime: &Runtime, url: &str, scenario: &str) -> Outcome {
    let transport = StreamableHttp::new(url).auth(auth(scenario)?);
    let server = ServerSpec::new("mock", transport).restart(RestartPolicy::never());
    let session = runtime.session("conformance").server(server).open().await?;
    let outcome = converse(&session, scenario).await;
    session.close().await;
    let refused = matches!(&outcome, Err(error) if is_refusal(error.as_ref()));
    match scenario {
        _ if REFUSED.contains(&scenario) && refused => Ok(()),
        _ if REFUSED.contains(&scenario) => Err("the login was not refused".into()),
        // It wants a scope that nobody can grant.
        "scope-retry-limit" if outcome.is_err() => Ok(()),
        _ => outcome,
    }
}

/// Who we are, as far as the scenario tells.
fn auth(scenario: &str) -> Outcome<Auth> {
    let given = context().unwrap_or_default();
    let told = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
    let secret = |name: &str| Secret::literal(told(name));
    let person = OAuth::new("callboard conformance");
    Ok(match scenario {
        "client-credentials-basic" => Auth::client_credentials(ClientCredentials::new(
            told("client_id"),
            secret("client_secret"),
        )),
        "client-credentials-jwt" => Auth::client_credentials(ClientCredentials::private_key(
            told("client_id"),
            secret("private_key_pem"),
        )),
        "wif-jwt-bearer" => {
            Auth::jwt_bearer(JwtBearer::new(secret("valid_jwt")).client_id(told("client_id")))
        }
        "enterprise-managed-authorization" => Auth::enterprise_managed(
            EnterpriseManaged::new(
                told("idp_issuer"),
                told("idp_token_endpoint"),
                told("idp_client_id"),
                secret("idp_id_token"),
            )
            .client(told("client_id"), Some(secret("client_secret"))),
        ),
        "pre-registration" => {
            Auth::oauth(person.client(told("client_id"), secret("client_secret")))
        }
        "basic-cimd" => Auth::oauth(
            person.client_metadata_url("https://conformance-test.local/client-metadata.json"),
        ),
        _ => Auth::oauth(person),
    })
}

async fn converse(session: &Session, scenario: &str) -> Outcome {
    let server = session.server("mock").ok_or("no server")?;
    for _ in 0..LOGINS {
        match server.ready().await {
            Ok(()) => {}
            Err(_) if server.status().phase == Phase::AuthRequired => {
                log_in(&server).await?;
                continue;
            }
            Err(Some(error)) => return Err(error.into()),
            Err(None) => return Err("it ended without a reason".into()),
        }
        match session.call("mock.test-tool", json!({})).await {
            Ok(output) => {
                let text = text("test-tool", output)?;
                // The server is called twice where it changes in between.
                if scenario == "authorization-server-migration" && server.status().epoch < 3 {
                    continue;
                }
                return expect(&text, "test");
            }
            Err(error) if needs_login(&error) => {
                if server.status().is_ready() {
                    log_in(&server).await?;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err("there was no end of logins".into())
}

fn needs_login(error: &CallError) -> bool {
    matches!(error.kind(), "unauthorized" | "transport_down" | "not_ready")
}

/// Opens the URL as a browser would, and brings back where that leads.
async fn log_in(server: &Server) -> Outcome {
    let login = server.login().await?;
    let browser = Client::builder().redirect(Policy::none()).build()?;
    let page = browser.get(login.url()).send().await?;
    let back = page.headers().get(LOCATION).ok_or("the login leads nowhere")?;
    Ok(login.finish(back.to_str()?).await?)
}

/// Whether a login was refused for what the authorization server is, or said.
fn is_refusal(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<std::sync::Arc<AuthError>>().map(AsRef::as_ref);
    matches!(error, Some(AuthError::LoginFailed { .. } | AuthError::Unusable { .. }))
}
