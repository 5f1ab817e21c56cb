//! Signed requests, checked at the edge before the actor sees them: cheap things first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::ids::{Address, NetworkId, Nonce};
use proofgrid_core::limits::REQUEST_EXPIRES_SECONDS_MAX;
use proofgrid_core::units::UnixSeconds;
use proofgrid_proto::convert::SignedRequest;

use crate::error::EdgeError;

/// Checks that a request is in its time.
fn check_expires(expires: UnixSeconds, now: UnixSeconds) -> Result<(), EdgeError> {
    if expires < now {
        return Err(EdgeError::Expired { expires, now });
    }
    if expires.get() > now.get().saturating_add(REQUEST_EXPIRES_SECONDS_MAX) {
        let max_s = REQUEST_EXPIRES_SECONDS_MAX;
        return Err(EdgeError::ExpiresTooFar { expires, max_s });
    }
    Ok(())
}

/// The account that signed a request, once its time and signature are checked. One recovery, about
/// 0.2 ms: cheap enough for the runtime's threads.
///
/// # Errors
/// When it is out of its time, or its signature is not by the account that it names.
pub fn signer_of(
    signed: &SignedRequest,
    network: NetworkId,
    now: UnixSeconds,
) -> Result<Address, EdgeError> {
    check_expires(signed.request.expires(), now)?;
    let message = WalletMessage::Request { network, request: signed.request.clone() };
    match signed.signer {
        Some(signer) => {
            signed.signature.verify(&message, signer)?;
            Ok(signer)
        }
        None => Ok(signed.signature.recover(&message)?),
    }
}

/// The last nonce of each administrator. Kept in memory: after a restart a call is bounded by its
/// own `expires`, and every administrative call is idempotent.
#[derive(Debug, Default)]
pub struct AdminNonces {
    last: Mutex<BTreeMap<Address, Nonce>>,
}

impl AdminNonces {
    /// Takes a call's nonce, which must be above the last one.
    ///
    /// # Errors
    /// [`EdgeError::AdminNonce`] for a repeated or older one.
    pub fn take(&self, administrator: Address, request: &Request) -> Result<(), EdgeError> {
        let Request::AdminCall { nonce, .. } = request else {
            return Err(EdgeError::Protocol("this is no administrative call"));
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.get(&administrator) {
            Some(known) if nonce <= known => {
                Err(EdgeError::AdminNonce { got: *nonce, last: *known })
            }
            _ => {
                last.insert(administrator, *nonce);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_good_from_now_until_an_hour_ahead() {
        let now = UnixSeconds::new(10_000);
        assert!(check_expires(now, now).is_ok());
        assert!(check_expires(UnixSeconds::new(13_600), now).is_ok());
        let over = check_expires(UnixSeconds::new(9_999), now);
        assert!(matches!(over, Err(EdgeError::Expired { .. })));
        let far = check_expires(UnixSeconds::new(13_601), now);
        assert!(matches!(far, Err(EdgeError::ExpiresTooFar { .. })));
    }
}
