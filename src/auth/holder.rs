//! Who holds the tokens of one server, and renews them: once, however many requests wait for it.

mod kept;
mod renewal;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use reqwest::{
    Method, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::Instant,
};

use super::{
    MemoryTokenStore,
    authority::{Home, Permit},
    challenge::Challenge,
    discovery::Found,
    dpop::{NONCE, PROOF},
    grant::Declared,
    http::Asker,
    store::TokenStore,
    tokens::Tokens,
};
use crate::{
    error::{AuthError, LoginReason},
    redactor::Source,
    spec::Http,
};

/// How often scopes are added, at most, to what has been asked for.
const STEP_UPS: u32 = 3;

/// Who holds the tokens of one server.
pub(crate) struct Holder {
    pub(super) home: Home,
    pub(super) url: Url,
    http: Http,
    pub(super) declared: Declared,
    store: Arc<dyn TokenStore>,
    held: ArcSwapOption<Held>,
    /// The highest number of a token that the server has accepted.
    accepted: AtomicU64,
    /// The nonce that the server wants in proofs.
    nonce: parking_lot::Mutex<Option<String>>,
    state: Arc<Mutex<State>>,
}

/// A token in use.
#[derive(Debug)]
struct Held {
    tokens: Tokens,
    serial: u64,
    /// Whether it is new, and not one that was kept from an earlier run.
    fresh: bool,
    header: HeaderValue,
}

/// What only one at a time looks at, and changes.
#[derive(Default)]
pub(super) struct State {
    asker: Option<Asker>,
    /// Whether the store has been looked into.
    loaded: bool,
    /// Tokens that the store did not take yet.
    unsaved: Option<Tokens>,
    pub(super) challenge: Challenge,
    found: Option<Found>,
    /// Why nothing goes on without a person.
    required: Option<LoginReason>,
    serial: u64,
    /// The scopes that were asked for last, and those that are to be asked for next.
    requested: Vec<String>,
    pub(super) wanted: Vec<String>,
    step_ups: u32,
    failed: Option<(Instant, Arc<AuthError>)>,
}

type Failed = Arc<AuthError>;
type Guard = OwnedMutexGuard<State>;

impl Holder {
    pub(super) fn new(home: Home, (http, url): (&Http, Url), declared: &Declared) -> Self {
        Self {
            home,
            url,
            http: http.clone(),
            store: declared.store().unwrap_or_else(|| Arc::new(MemoryTokenStore::new())),
            declared: declared.clone(),
            held: ArcSwapOption::empty(),
            accepted: AtomicU64::new(0),
            nonce: parking_lot::Mutex::default(),
            state: Arc::default(),
        }
    }

    pub(super) async fn lock(&self) -> Guard {
        Arc::clone(&self.state).lock_owned().await
    }

    pub(super) async fn permit(
        self: &Arc<Self>,
        request: (&Method, &Url),
    ) -> Result<Permit, Failed> {
        let held = match self.fresh() {
            Some(held) => Some(held),
            None => self.settle().await?,
        };
        let Some(held) = held else { return Ok(Permit::default()) };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, held.header.clone());
        if let Some(key) = &held.tokens.key {
            let nonce = self.nonce.lock().clone();
            let proof = key.proof(request, Some(&held.tokens.access), nonce.as_deref())?;
            headers.insert(PROOF, proof);
        }
        Ok(Permit { headers, serial: held.serial, ..Permit::default() })
    }

    fn fresh(&self) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| !held.tokens.is_stale())
    }

    /// A token that can be used; none if there has never been one, so that only the server can say
    /// what it wants. Where one could not be renewed there is no request without.
    async fn settle(self: &Arc<Self>) -> Result<Option<Arc<Held>>, Failed> {
        let mut state = self.lock().await;
        if let Some(held) = self.fresh() {
            return Ok(Some(held));
        }
        if !state.loaded {
            if let Some(tokens) = self.load().await.map_err(|error| self.told(error))? {
                self.publish(&mut state, tokens, false);
            }
            state.loaded = true;
            if let Some(held) = self.fresh() {
                return Ok(Some(held));
            }
        }
        if let Some(reason) = state.required {
            let found =
                self.logged_in_elsewhere(&mut state).await.map_err(|error| self.told(error))?;
            return found.map(Some).ok_or_else(|| Arc::new(AuthError::LoginRequired { reason }));
        }
        let Some(held) = self.held.load_full() else {
            if self.declared.found().is_none() {
                return Ok(None);
            }
            return self.renew(state, None).await.map(Some);
        };
        match self.renew(state, Some(Arc::clone(&held))).await {
            // It is good until it ends.
            Err(error) if !error.needs_login() && !held.tokens.has_expired() => Ok(Some(held)),
            outcome => outcome.map(Some),
        }
    }

    pub(super) async fn fared(
        self: &Arc<Self>,
        permit: &Permit,
        (status, headers): (StatusCode, &HeaderMap),
    ) -> Result<bool, Failed> {
        let nonce = headers.get(NONCE).and_then(|nonce| nonce.to_str().ok());
        if let Some(nonce) = nonce {
            *self.nonce.lock() = Some(nonce.to_owned());
        }
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.accepted.fetch_max(permit.serial, Ordering::Relaxed);
            return Ok(false);
        }
        let challenge = Challenge::of(headers);
        if challenge.wants_nonce() {
            return Ok(nonce.is_some());
        }
        let forbidden = status == StatusCode::FORBIDDEN;
        if forbidden && !challenge.wants_scopes() {
            return Ok(false);
        }
        let mut state = self.lock().await;
        let held = self.held.load_full();
        if held.as_ref().is_some_and(|held| held.serial != permit.serial) {
            // Another request was refused, too, and has seen to it.
            return Ok(true);
        }
        if let Some(reason) = state.required {
            return Err(Arc::new(AuthError::LoginRequired { reason }));
        }
        state.challenge = challenge;
        match held {
            Some(held) if forbidden => self.step_up(state, held).await,
            Some(held) => self.rejected(state, held).await,
            None => self.first(state).await,
        }
    }

    /// The server says for the first time that it wants a token.
    async fn first(self: &Arc<Self>, mut state: Guard) -> Result<bool, Failed> {
        if self.declared.is_headless() {
            return self.renew(state, None).await.map(|_| true);
        }
        Err(self.require(&mut state, LoginReason::Never))
    }

    /// The server refuses a token.
    async fn rejected(self: &Arc<Self>, mut state: Guard, held: Arc<Held>) -> Result<bool, Failed> {
        let ever_accepted = self.accepted.load(Ordering::Relaxed) >= held.serial;
        if held.fresh && !ever_accepted && state.unsaved.is_none() {
            // It refuses even a new one, so another would not help.
            if self.declared.is_headless() {
                return Ok(false);
            }
            let found =
                self.logged_in_elsewhere(&mut state).await.map_err(|error| self.told(error))?;
            return match found {
                Some(_) => Ok(true),
                None => Err(self.require(&mut state, LoginReason::Rejected)),
            };
        }
        self.renew(state, Some(held)).await.map(|_| true)
    }

    /// The server wants more scopes.
    async fn step_up(self: &Arc<Self>, mut state: Guard, held: Arc<Held>) -> Result<bool, Failed> {
        let granted = &held.tokens.scopes;
        let known = |scope: &String| granted.contains(scope) || state.requested.contains(scope);
        if state.challenge.scopes.iter().all(known) || state.step_ups >= STEP_UPS {
            // It has been asked for all of them, and refuses nevertheless.
            return Ok(false);
        }
        let mut scopes: Vec<String> = granted.clone();
        scopes.extend(state.requested.iter().cloned());
        scopes.extend(state.challenge.scopes.iter().cloned());
        let mut seen = std::collections::HashSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        state.wanted = scopes.clone();
        if !self.declared.is_headless() {
            return Err(Arc::new(AuthError::ScopeRequired { scopes }));
        }
        state.step_ups += 1;
        self.renew(state, Some(held)).await.map(|_| true)
    }

    fn require(&self, state: &mut State, reason: LoginReason) -> Failed {
        state.required = Some(reason);
        Arc::new(AuthError::LoginRequired { reason })
    }

    /// Puts tokens into use.
    fn publish(&self, state: &mut State, tokens: Tokens, fresh: bool) -> Arc<Held> {
        self.home.learn(Source::Had("access token"), &tokens.access);
        for (what, secret) in [
            ("refresh token", tokens.refresh.as_ref()),
            ("client secret", tokens.client.secret.as_ref()),
            ("key", tokens.key.as_ref().map(|key| key.to_text())),
        ] {
            if let Some(secret) = secret {
                self.home.learn(Source::Had(what), secret);
            }
        }
        let scheme = if tokens.key.is_some() { "DPoP" } else { "Bearer" };
        let text = SecretString::from(format!("{scheme} {}", tokens.access.expose_secret()));
        // A token that is no header is refused by the server then, as any wrong one.
        let mut header = HeaderValue::try_from(text.expose_secret())
            .unwrap_or_else(|_| HeaderValue::from_static("Bearer unusable"));
        header.set_sensitive(true);
        state.serial += 1;
        (state.required, state.failed) = (None, None);
        // These follow them, or a login does that nobody may undo.
        state.unsaved = None;
        let held = Arc::new(Held { tokens, serial: state.serial, fresh, header });
        self.held.store(Some(Arc::clone(&held)));
        held
    }

    /// An error as others may see it.
    pub(super) fn told(&self, mut error: AuthError) -> Failed {
        error.redact(&self.home.scope.secrets.redactor);
        Arc::new(error)
    }

    pub(super) fn asker(&self, state: &mut State) -> Result<Asker, AuthError> {
        if let Some(asker) = &state.asker {
            return Ok(asker.clone());
        }
        let asker = Asker::new(&self.http, &self.url, &self.home.scope.clients)?;
        state.asker = Some(asker.clone());
        Ok(asker)
    }
}
