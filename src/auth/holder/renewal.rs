//! How a token follows another.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{Failed, Guard, Held, Holder, State};
use crate::{
    auth::{
        discovery::{Found, discover},
        exchange::{refresh, unavailable},
        tokens::Tokens,
    },
    error::{AuthError, LoginReason},
};

/// How long a failure is the answer to everybody who asks: an authorization server in trouble is not
/// helped by a hundred requests.
const HOLD_OFF: Duration = Duration::from_secs(1);

/// How long a renewal that is under way may take to end when its session does: what it brings may be
/// the only token left.
const LAST_RENEWAL: Duration = Duration::from_secs(2);

/// What is said of a client that is not known, or shows another secret (RFC 6749, 5.2).
const INVALID_CLIENT: &str = "invalid_client";

/// Whether an error is about who asks, and not about the token (some say the second of a wrong secret).
fn is_of_client(code: &str) -> bool {
    [INVALID_CLIENT, "unauthorized_client"].contains(&code)
}

impl Holder {
    /// Gets a new token, in a task of its own: whoever waits for it may lose patience, but a token
    /// that was given in exchange for another must not be lost.
    pub(super) async fn renew(
        self: &Arc<Self>,
        mut state: Guard,
        held: Option<Arc<Held>>,
    ) -> Result<Arc<Held>, Failed> {
        if let Some((at, error)) = &state.failed
            && at.elapsed() < HOLD_OFF
        {
            return Err(Arc::clone(error));
        }
        let (tell, told) = oneshot::channel();
        let holder = Arc::clone(self);
        let scope = &self.home.scope;
        let ending = scope.tasks.token().clone();
        scope.tasks.spawn(&scope.span, async move {
            let given_up = async {
                ending.cancelled().await;
                tokio::time::sleep(LAST_RENEWAL).await;
            };
            let renewed = tokio::select! {
                renewed = holder.replace(&mut state, held.as_deref()) => renewed,
                () = given_up => Err(AuthError::Unusable { detail: "the session ends".to_owned() }),
            };
            let outcome = match renewed {
                Ok(held) => Ok(held),
                Err(error) => {
                    let error = holder.told(error);
                    state.failed = Some((Instant::now(), Arc::clone(&error)));
                    Err(error)
                }
            };
            drop(state);
            // They may have lost patience.
            drop(tell.send(outcome));
        });
        let lost = |_| Arc::new(AuthError::Unusable { detail: "the session has ended".to_owned() });
        told.await.map_err(lost)?
    }

    async fn replace(
        &self,
        state: &mut State,
        held: Option<&Held>,
    ) -> Result<Arc<Held>, AuthError> {
        if let Some(tokens) = self.save_late(state).await? {
            let stale = tokens.is_stale();
            let held = self.publish(state, tokens, !stale);
            // What renews them is still good.
            return if stale { self.refresh(state, &held).await } else { Ok(held) };
        }
        match held {
            Some(held) if !self.declared.is_headless() => self.refresh(state, held).await,
            _ => self.obtain(state).await,
        }
    }

    /// Spends the token that renews, unless another process just has.
    async fn refresh(&self, state: &mut State, held: &Held) -> Result<Arc<Held>, AuthError> {
        // Before the lock, for which others wait no longer than a request takes.
        let by_hand = self.declared.by_hand(&self.home).await;
        let _lock = self.lock_store(&held.tokens).await?;
        let kept = self.reload(&held.tokens).await?;
        let mut tokens = match kept {
            Some(kept) if !kept.is_same(&held.tokens) && !kept.is_stale() => {
                return Ok(self.publish(state, kept, false));
            }
            // The token that renews may have been rejected elsewhere, or be another by now.
            Some(kept) => kept,
            None => held.tokens.clone(),
        };
        if tokens.refresh.is_none() {
            state.required = Some(LoginReason::Expired);
            return Err(AuthError::LoginRequired { reason: LoginReason::Expired });
        }
        let by_hand = match by_hand {
            // Kept by an earlier version, it is there.
            Err(_) if tokens.client.secret.is_some() => None,
            by_hand => by_hand?.filter(|(id, _)| *id == tokens.client.id),
        };
        let declared = by_hand.as_ref().is_some_and(|(_, secret)| secret.is_some());
        if let Some((_, secret)) = by_hand {
            // It has not registered itself, or no more.
            (tokens.client.secret, tokens.client.redirect_uri) = (secret, None);
        }
        let asker = self.asker(state)?;
        asker.begin();
        if let Some(key) = &tokens.key {
            asker.bind(key.clone());
        }
        let granted = match refresh(&asker, &tokens).await {
            Ok(granted) => granted,
            // A declared secret that is out of date says nothing about the token, and may be another
            // soon.
            Err(AuthError::Refused { origin, code, description })
                if declared && is_of_client(&code) =>
            {
                return Err(unavailable(origin, format!("{code} {description}")));
            }
            Err(AuthError::Refused { code, .. }) => {
                return self.give_up(state, tokens, &code).await;
            }
            Err(error) => return Err(error),
        };
        let tokens = Tokens {
            expiry: granted.expiry(),
            scopes: granted.scopes().unwrap_or_else(|| tokens.scopes.clone()),
            refresh: granted.refresh_token.or(tokens.refresh),
            access: granted.access_token,
            ..tokens
        };
        // Before it is used: from here on the one before is spent.
        if let Err(error) = self.save(&tokens).await {
            state.unsaved = Some(tokens);
            return Err(error);
        }
        Ok(self.publish(state, tokens, true))
    }

    /// A rejected token that renews is never tried again, by nobody.
    async fn give_up(
        &self,
        state: &mut State,
        mut tokens: Tokens,
        code: &str,
    ) -> Result<Arc<Held>, AuthError> {
        if code == INVALID_CLIENT {
            // It is not known any more, and has to register itself again.
            tokens.client.redirect_uri = None;
        }
        self.save(&Tokens { refresh: None, ..tokens }).await?;
        state.required = Some(LoginReason::Rejected);
        Err(AuthError::LoginRequired { reason: LoginReason::Rejected })
    }

    /// Gets a token that nobody has to log in for.
    async fn obtain(&self, state: &mut State) -> Result<Arc<Held>, AuthError> {
        let asker = self.asker(state)?;
        let found = match self.declared.found().or_else(|| state.found.clone()) {
            Some(found) => found,
            None => self.find(state).await?,
        };
        let scopes = self.scopes_to_ask(state);
        let resource = asker.resource().unwrap_or_else(|| self.url.to_string());
        let tokens = self.declared.obtain(&self.home, (&asker, &found), (&resource, &scopes)).await;
        // What was found may be what was wrong.
        let tokens = tokens.inspect_err(|_| state.found = None)?;
        state.found = Some(found);
        state.requested = scopes;
        Ok(self.publish(state, tokens, true))
    }

    async fn find(&self, state: &mut State) -> Result<Found, AuthError> {
        let asker = self.asker(state)?;
        asker.begin();
        let challenge = state.challenge.text.clone();
        Ok(discover(&asker, &self.url, challenge.as_deref()).await?.found)
    }

    /// What is wanted by now, else what is declared, else what the server says that it wants.
    fn scopes_to_ask(&self, state: &State) -> Vec<String> {
        [state.wanted.as_slice(), self.declared.scopes(), &state.challenge.scopes]
            .into_iter()
            .find(|scopes| !scopes.is_empty())
            .unwrap_or_default()
            .to_vec()
    }
}
