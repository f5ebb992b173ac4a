//! What of the tokens is kept, and found again.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::{Held, Holder, State, Tokens};
use crate::{
    auth::store::{StoreLock, TokenKey},
    error::AuthError,
};

impl Holder {
    /// What was kept for this server, of the issuer that it had last.
    pub(super) async fn load(&self) -> Result<Option<Tokens>, AuthError> {
        let server = self.url.as_str();
        let note = self.store.load(&TokenKey::new(server, "")).await.map_err(failed)?;
        let Some(issuer) = note else { return Ok(None) };
        self.load_of(issuer.expose_secret()).await
    }

    async fn load_of(&self, issuer: &str) -> Result<Option<Tokens>, AuthError> {
        let kept = self.store.load(&TokenKey::new(self.url.as_str(), issuer)).await;
        // What cannot be read is of another version, or broken: a login replaces it.
        Ok(kept.map_err(failed)?.as_ref().and_then(Tokens::from_json))
    }

    /// What another process has put into the store by now, if that can be used: a person may have
    /// logged in there.
    pub(super) async fn logged_in_elsewhere(
        &self,
        state: &mut State,
    ) -> Result<Option<Arc<Held>>, AuthError> {
        let Some(kept) = self.load().await? else { return Ok(None) };
        let held = self.held.load_full();
        let known = held.is_some_and(|held| held.tokens.is_same(&kept));
        // One that has ended may still be renewed, but then somebody else would have.
        if known || kept.is_stale() {
            return Ok(None);
        }
        Ok(Some(self.publish(state, kept, false)))
    }

    /// What is kept now of these tokens' issuer: another process may have renewed them.
    pub(super) async fn reload(&self, tokens: &Tokens) -> Result<Option<Tokens>, AuthError> {
        self.load_of(&issuer(tokens)).await
    }

    /// Who registered itself with this issuer before, for the same address.
    pub(in crate::auth) async fn registered(
        &self,
        issuer: &str,
        redirect_uri: &str,
    ) -> Option<crate::auth::tokens::Client> {
        let client = self.load_of(issuer).await.ok()??.client;
        (client.redirect_uri.as_deref() == Some(redirect_uri)).then_some(client)
    }

    /// Keeps tokens before they are used.
    pub(super) async fn save(&self, tokens: &Tokens) -> Result<(), AuthError> {
        let (server, issuer) = (self.url.as_str(), issuer(tokens));
        let unfit = || AuthError::Unusable { detail: "the tokens cannot be kept".to_owned() };
        let json = tokens.to_json().ok_or_else(unfit)?;
        self.store.save(&TokenKey::new(server, &issuer), &json).await.map_err(failed)?;
        let note = SecretString::from(issuer);
        self.store.save(&TokenKey::new(server, ""), &note).await.map_err(failed)
    }

    /// Keeps other processes from renewing the same tokens.
    pub(super) async fn lock_store(&self, tokens: &Tokens) -> Result<StoreLock, AuthError> {
        let key = TokenKey::new(self.url.as_str(), &issuer(tokens));
        self.store.lock(&key).await.map_err(failed)
    }

    /// Keeps, and puts into use, what a person has logged in for.
    pub(in crate::auth) async fn accept(
        &self,
        tokens: Tokens,
        requested: Vec<String>,
    ) -> Result<(), AuthError> {
        let mut state = self.lock().await;
        let lock = self.lock_store(&tokens).await?;
        self.save(&tokens).await?;
        drop(lock);
        let stepped_up = !std::mem::take(&mut state.wanted).is_empty();
        state.step_ups = if stepped_up { state.step_ups + 1 } else { 0 };
        state.requested = requested;
        state.loaded = true;
        self.publish(&mut state, tokens, true);
        Ok(())
    }

    /// Keeps tokens that the store did not take the first time. They are put into use next.
    pub(super) async fn save_late(&self, state: &mut State) -> Result<Option<Tokens>, AuthError> {
        let Some(tokens) = state.unsaved.clone() else { return Ok(None) };
        let _lock = self.lock_store(&tokens).await?;
        self.save(&tokens).await?;
        Ok(Some(tokens))
    }
}

/// The issuer, or who it is taken for where it has not said.
fn issuer(tokens: &Tokens) -> String {
    if tokens.issuer.is_empty() { tokens.token_endpoint.clone() } else { tokens.issuer.clone() }
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> AuthError {
    AuthError::Store(Arc::from(error))
}
